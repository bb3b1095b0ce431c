/* The model of $name.v, for the driver ssm_hdl.h. */
#ifndef ${NAME}_H
#define ${NAME}_H

#include "ssm_hdl.h"

#define ${NAME}_STEPS   ${steps}u  /* time steps of a sequence, at most if there is one packet per sequence */
#define ${NAME}_SAMPLES ${samples}u  /* numbers of a time step */
#define ${NAME}_RESULTS ${results}u  /* numbers of a packet of results: $packets */

/* Formats: the value of a number is its code times 2^-FRACTION. */
#define ${NAME}_SAMPLE_FRACTION $i_fraction  /* $i_format */
#define ${NAME}_SAMPLE_MIN      $i_min
#define ${NAME}_SAMPLE_MAX      $i_max
#define ${NAME}_RESULT_FRACTION $o_fraction  /* $o_format */
#define ${NAME}_RESULT_MIN      $o_min
#define ${NAME}_RESULT_MAX      $o_max

static const ssm_hdl_model ${name}_model = {
    $fingerprint, ${NAME}_STEPS, ${NAME}_SAMPLES, ${NAME}_RESULTS, $per_sequence,
    {$i_bits, ${NAME}_SAMPLE_FRACTION, ${NAME}_SAMPLE_MIN, ${NAME}_SAMPLE_MAX},
    {$o_bits, ${NAME}_RESULT_FRACTION, ${NAME}_RESULT_MIN, ${NAME}_RESULT_MAX},
};

#endif
