/* For the build type Sanitize: libraries stay loaded, so that a leak of a component that Open MPI has unloaded still
   has a name, and lsan.supp can tell it from ours. */
int dlclose(void *handle);

int dlclose(void *handle)
{
  (void)handle;
  return 0;
}
