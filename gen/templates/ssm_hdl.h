/* Driver of pipelines of ssm-hdl on Wishbone, AXI4-Lite or SPI. C99, without heap and without floating point.
 *
 * A number is its code, a signed integer of up to 32 bits. NAME.h has the formats of a model.
 * Not for several threads: one of them drives a pipeline.
 */
#ifndef SSM_HDL_H
#define SSM_HDL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers on Wishbone and AXI4-Lite: byte offsets of words of 32 bits. */
#define SSM_HDL_STATUS       $STATUS  /* read: bits SSM_HDL_READY and the others below */
#define SSM_HDL_CONTROL      $CONTROL  /* read, write: bits SSM_HDL_RESET, SSM_HDL_INTERRUPT */
#define SSM_HDL_SAMPLE       $SAMPLE  /* write: a sample */
#define SSM_HDL_FINAL_SAMPLE $FINAL_SAMPLE  /* write: a sample of the last time step of a sequence */
#define SSM_HDL_RESULT       $RESULT  /* read: the next result, with its sign */
#define SSM_HDL_IDENTITY     $IDENTITY  /* read: the fingerprint of the model */
#define SSM_HDL_SIZE         $SIZE  /* bytes of all registers */

/* Status. */
#define SSM_HDL_READY        $STATUS_READY  /* a sample can be taken */
#define SSM_HDL_THERE        $STATUS_RESULT  /* a result is there */
#define SSM_HDL_LAST         $STATUS_LAST  /* it is of the last time step of its sequence */
#define SSM_HDL_LOST         $STATUS_LOST  /* over SPI: a sample was lost since the last transfer */

/* Control. */
#define SSM_HDL_RESET        $CONTROL_RESET
#define SSM_HDL_INTERRUPT    $CONTROL_INTERRUPT

/* Commands over SPI. */
#define SSM_HDL_C_STATUS        $COMMAND_STATUS
#define SSM_HDL_C_SAMPLES       $COMMAND_SAMPLES
#define SSM_HDL_C_FINAL_SAMPLES $COMMAND_FINAL_SAMPLES
#define SSM_HDL_C_RESULTS       $COMMAND_RESULTS
#define SSM_HDL_C_RESET         $COMMAND_RESET
#define SSM_HDL_C_IDENTITY      $COMMAND_IDENTITY

/* How ssm_hdl_run waits: times that it looks without anything moving. */
#ifndef SSM_HDL_PATIENCE
#define SSM_HDL_PATIENCE 1000000u
#endif

typedef enum {
    SSM_HDL_OK,
    SSM_HDL_BUSY,    /* no sample can be taken now */
    SSM_HDL_EMPTY,   /* no result is there */
    SSM_HDL_RANGE,   /* an argument that the model does not have: a code, a number of time steps */
    SSM_HDL_OTHER,   /* another model answers, or none */
    SSM_HDL_STUCK,   /* nothing moved; reset */
    SSM_HDL_ORDER,   /* a result of another sequence, or a sample was lost; reset */
    SSM_HDL_BUS      /* the transfer failed, or the bus has no interrupt */
} ssm_hdl_error;

/* A number's code, as the model has it. */
typedef struct {
    uint8_t bits;
    int8_t fraction; /* the value is the code times 2^-fraction */
    int32_t min, max;
} ssm_hdl_format;

typedef struct {
    uint16_t fingerprint;
    uint32_t steps;         /* time steps of a sequence, at most if there is one packet per sequence */
    uint32_t samples;       /* numbers of a time step */
    uint32_t results;       /* numbers of a packet of results */
    uint8_t per_sequence;   /* 1: a packet at the end of a sequence; 0: one for each time step */
    ssm_hdl_format sample, result;
} ssm_hdl_model;

/* A transfer with chip select low from the first byte to the last: `count` bytes go out, as many come in. 0 if it succeeded. */
typedef int (*ssm_hdl_transfer)(void *context, const uint8_t *out, uint8_t *in, size_t count);

struct ssm_hdl_bus;

typedef struct {
    const ssm_hdl_model *model;
    const struct ssm_hdl_bus *bus;
    uintptr_t base;
    ssm_hdl_transfer transfer;
    void *context;
    uint8_t control;
} ssm_hdl;

/* Begin: SSM_HDL_OTHER unless this very model answers; then it is reset.
 * Accesses to registers go through SSM_HDL_READ(address) and SSM_HDL_WRITE(address, value), which a macro may replace. */
ssm_hdl_error ssm_hdl_open_registers(ssm_hdl *core, const ssm_hdl_model *model, uintptr_t base);
ssm_hdl_error ssm_hdl_open_spi(ssm_hdl *core, const ssm_hdl_model *model, ssm_hdl_transfer transfer, void *context);

/* Forget all samples and results. */
ssm_hdl_error ssm_hdl_reset(ssm_hdl *core);

/* Bits SSM_HDL_READY, .. */
ssm_hdl_error ssm_hdl_status(ssm_hdl *core, uint8_t *status);

/* Raise `irq` while a result is there, or never. */
ssm_hdl_error ssm_hdl_interrupt(ssm_hdl *core, int on);

/* A sample; `last` is 1 in every sample of the last time step. SSM_HDL_BUSY: try again. */
ssm_hdl_error ssm_hdl_put(ssm_hdl *core, int32_t code, int last);

/* A result; `last` becomes 1 in every result of the last time step. SSM_HDL_EMPTY: try again. */
ssm_hdl_error ssm_hdl_get(ssm_hdl *core, int32_t *code, int *last);

/* A whole sequence, from its first sample: `samples` has model->samples numbers for each of `steps` time steps. `results` has room for model->results
 * numbers, for each time step unless the model has one packet per sequence. After an error, reset. */
ssm_hdl_error ssm_hdl_run(ssm_hdl *core, const int32_t *samples, uint32_t steps, int32_t *results);

#ifdef __cplusplus
}
#endif

#endif
