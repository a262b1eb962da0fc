/* fp32, as the teacher gave it, raw: an epoch reads it as fast as the disk allows. */
#include "store/form.h"

const RtForm rt_form_dense = {
    .name = "dense", .help = "fp32, as the teacher gives it", .serves = "every loss", .traits = RT_FORM_OWN};
