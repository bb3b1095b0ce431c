/* See ssm_hdl.h. */
#include "ssm_hdl.h"

#ifndef SSM_HDL_READ
#define SSM_HDL_READ(address) (*(const volatile uint32_t *)(address))
#define SSM_HDL_WRITE(address, value) (*(volatile uint32_t *)(address) = (value))
#endif

struct ssm_hdl_bus {
    ssm_hdl_error (*identity)(ssm_hdl *core, uint32_t *fingerprint);
    ssm_hdl_error (*status)(ssm_hdl *core, uint8_t *status);
    ssm_hdl_error (*control)(ssm_hdl *core, uint8_t bits);
    ssm_hdl_error (*put)(ssm_hdl *core, uint32_t bits, int last);
    ssm_hdl_error (*get)(ssm_hdl *core, uint32_t *bits, uint8_t *status);
};

/* The code of the low bits of a word; without a cast of what an int32_t cannot hold. */
static int32_t code_of(const ssm_hdl_format *format, uint32_t word)
{
    uint32_t mask = 0xffffffffu >> (32 - format->bits), sign = (uint32_t)1 << (format->bits - 1);

    word &= mask;
    return format->min < 0 && (word & sign) ? -(int32_t)(mask - word) - 1 : (int32_t)word;
}

/* Registers. A sample that cannot be taken is a bus error, so the status is read first. */

static ssm_hdl_error registers_identity(ssm_hdl *core, uint32_t *fingerprint)
{
    *fingerprint = SSM_HDL_READ(core->base + SSM_HDL_IDENTITY);
    return SSM_HDL_OK;
}

static ssm_hdl_error registers_status(ssm_hdl *core, uint8_t *status)
{
    *status = (uint8_t)SSM_HDL_READ(core->base + SSM_HDL_STATUS);
    return SSM_HDL_OK;
}

static ssm_hdl_error registers_control(ssm_hdl *core, uint8_t bits)
{
    SSM_HDL_WRITE(core->base + SSM_HDL_CONTROL, bits);
    return SSM_HDL_OK;
}

static ssm_hdl_error registers_put(ssm_hdl *core, uint32_t bits, int last)
{
    SSM_HDL_WRITE(core->base + (last ? SSM_HDL_FINAL_SAMPLE : SSM_HDL_SAMPLE), bits);
    return SSM_HDL_OK;
}

static ssm_hdl_error registers_get(ssm_hdl *core, uint32_t *bits, uint8_t *status)
{
    (void)registers_status(core, status);
    if (*status & SSM_HDL_THERE)
        *bits = SSM_HDL_READ(core->base + SSM_HDL_RESULT);
    return SSM_HDL_OK;
}

static const struct ssm_hdl_bus registers = {
    registers_identity, registers_status, registers_control, registers_put, registers_get,
};

/* SPI. The answer to the command is the status. */

enum { LONGEST = 6 }; /* command, status, a number */

static ssm_hdl_error spi(ssm_hdl *core, uint8_t command, uint8_t *bytes, size_t count)
{
    uint8_t out[LONGEST] = {0};
    size_t k;

    out[0] = command;
    for (k = 1; k < count; k++)
        out[k] = bytes[k];
    return core->transfer(core->context, out, bytes, count) ? SSM_HDL_BUS : SSM_HDL_OK;
}

static ssm_hdl_error spi_identity(ssm_hdl *core, uint32_t *fingerprint)
{
    uint8_t bytes[LONGEST] = {0};
    ssm_hdl_error error = spi(core, SSM_HDL_C_IDENTITY, bytes, 4);

    *fingerprint = (uint32_t)bytes[2] << 8 | bytes[3];
    return error;
}

static ssm_hdl_error spi_status(ssm_hdl *core, uint8_t *status)
{
    return spi(core, SSM_HDL_C_STATUS, status, 1);
}

static ssm_hdl_error spi_control(ssm_hdl *core, uint8_t bits)
{
    uint8_t status;

    if (bits & SSM_HDL_INTERRUPT)
        return SSM_HDL_BUS;
    return bits & SSM_HDL_RESET ? spi(core, SSM_HDL_C_RESET, &status, 1) : SSM_HDL_OK;
}

static ssm_hdl_error spi_put(ssm_hdl *core, uint32_t bits, int last)
{
    uint8_t bytes[LONGEST] = {0};
    size_t count = (core->model->sample.bits + 7u) / 8, k;

    for (k = 0; k < count; k++)
        bytes[count - k] = (uint8_t)(bits >> 8 * k);
    return spi(core, last ? SSM_HDL_C_FINAL_SAMPLES : SSM_HDL_C_SAMPLES, bytes, count + 1);
}

static ssm_hdl_error spi_get(ssm_hdl *core, uint32_t *bits, uint8_t *status)
{
    uint8_t bytes[LONGEST] = {0};
    size_t count = (core->model->result.bits + 7u) / 8, k;
    ssm_hdl_error error = spi(core, SSM_HDL_C_RESULTS, bytes, count + 2);

    *status = (uint8_t)(bytes[1] | (bytes[0] & SSM_HDL_LOST)); /* the first byte of a transfer clears it */
    for (*bits = 0, k = 2; k < count + 2; k++)
        *bits = *bits << 8 | bytes[k];
    return error;
}

static const struct ssm_hdl_bus serial = {spi_identity, spi_status, spi_control, spi_put, spi_get};

/* Both. */

static ssm_hdl_error begin(ssm_hdl *core)
{
    uint32_t fingerprint = 0;
    ssm_hdl_error error = core->bus->identity(core, &fingerprint);

    core->control = 0;
    if (error == SSM_HDL_OK && fingerprint != core->model->fingerprint)
        error = SSM_HDL_OTHER;
    return error == SSM_HDL_OK ? ssm_hdl_reset(core) : error;
}

ssm_hdl_error ssm_hdl_open_registers(ssm_hdl *core, const ssm_hdl_model *model, uintptr_t base)
{
    core->model = model;
    core->bus = &registers;
    core->base = base;
    return begin(core);
}

ssm_hdl_error ssm_hdl_open_spi(ssm_hdl *core, const ssm_hdl_model *model, ssm_hdl_transfer transfer, void *context)
{
    core->model = model;
    core->bus = &serial;
    core->transfer = transfer;
    core->context = context;
    return begin(core);
}

ssm_hdl_error ssm_hdl_reset(ssm_hdl *core)
{
    return core->bus->control(core, core->control | SSM_HDL_RESET);
}

ssm_hdl_error ssm_hdl_interrupt(ssm_hdl *core, int on)
{
    uint8_t control = on ? SSM_HDL_INTERRUPT : 0;
    ssm_hdl_error error = core->bus->control(core, control);

    if (error == SSM_HDL_OK)
        core->control = control;
    return error;
}

ssm_hdl_error ssm_hdl_status(ssm_hdl *core, uint8_t *status)
{
    return core->bus->status(core, status);
}

ssm_hdl_error ssm_hdl_put(ssm_hdl *core, int32_t code, int last)
{
    uint8_t status = 0;
    ssm_hdl_error error;

    if (code < core->model->sample.min || code > core->model->sample.max)
        return SSM_HDL_RANGE;
    error = core->bus->status(core, &status);
    if (error != SSM_HDL_OK)
        return error;
    if (status & SSM_HDL_LOST)
        return SSM_HDL_ORDER;
    return status & SSM_HDL_READY ? core->bus->put(core, (uint32_t)code, last) : SSM_HDL_BUSY;
}

ssm_hdl_error ssm_hdl_get(ssm_hdl *core, int32_t *code, int *last)
{
    uint32_t bits = 0;
    uint8_t status = 0;
    ssm_hdl_error error = core->bus->get(core, &bits, &status);

    if (error != SSM_HDL_OK)
        return error;
    if (status & SSM_HDL_LOST)
        return SSM_HDL_ORDER;
    if (!(status & SSM_HDL_THERE))
        return SSM_HDL_EMPTY;
    *code = code_of(&core->model->result, bits);
    *last = (status & SSM_HDL_LAST) != 0;
    return SSM_HDL_OK;
}

ssm_hdl_error ssm_hdl_run(ssm_hdl *core, const int32_t *samples, uint32_t steps, int32_t *results)
{
    const ssm_hdl_model *model = core->model;
    uint32_t i_all = steps * model->samples, o_all = (model->per_sequence ? 1 : steps) * model->results;
    uint32_t sent = 0, taken = 0, quiet = 0;
    uint8_t status = 0;
    ssm_hdl_error error = ssm_hdl_status(core, &status);

    if (steps == 0 || (model->per_sequence && steps > model->steps))
        return SSM_HDL_RANGE;
    if (error != SSM_HDL_OK)
        return error;
    if (status & (SSM_HDL_THERE | SSM_HDL_LOST))
        return SSM_HDL_ORDER;
    while (taken < o_all) {
        int last = 0;

        quiet++;
        if (sent < i_all) {
            error = ssm_hdl_put(core, samples[sent], sent >= i_all - model->samples);
            if (error == SSM_HDL_OK) {
                sent++;
                quiet = 0;
            } else if (error != SSM_HDL_BUSY)
                return error;
        }
        error = ssm_hdl_get(core, &results[taken], &last);
        if (error == SSM_HDL_OK) {
            if (last != (taken >= o_all - model->results))
                return SSM_HDL_ORDER;
            taken++;
            quiet = 0;
        } else if (error != SSM_HDL_EMPTY)
            return error;
        if (quiet == SSM_HDL_PATIENCE)
            return SSM_HDL_STUCK;
    }
    return SSM_HDL_OK;
}
