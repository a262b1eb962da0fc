"""What the scripts of this folder share: the files of a run, how pictures look, the pictures themselves, the page."""
