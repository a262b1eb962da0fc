/* Leading principal components of a layer (label/components.h): few numbers, in coordinates of their own. They turn the
   layer and leave out what varies least, so distances between rows are kept but for that; a single number means nothing
   to a student's layer unless a map stands between. */
#include "store/form.h"

const RtForm rt_form_components = {
    .name = "components",
    .help = "leading principal components of a layer",
    .serves = "losses that map widths or compare distances",
    .traits = RT_FORM_PROJECTED,
    .option = {{.name = "components", .initial = "64", .least = 1, .most = 1e6, .whole = true, .help = "how many"}}};
