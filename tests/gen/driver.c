/* The C driver on a wrapper under Verilator: whole sequences, and wrong use. -DSPI and -DLITEX say what stands between. */
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "mine.h"
#include "mine_vectors.h"

#ifdef LITEX
#include "csr.h"
#include "mem.h"
#define REGISTERS MINE_BASE
#else
#define REGISTERS BASE
#endif

#define CHECK(what)                                            \
    do {                                                       \
        if (!(what)) {                                         \
            printf("line %d: not %s\n", __LINE__, #what);      \
            return 1;                                          \
        }                                                      \
    } while (0)

enum { SEQUENCES = sizeof mine_samples / sizeof mine_samples[0] };

static ssm_hdl core;

static ssm_hdl_error begin(const ssm_hdl_model *model)
{
#ifdef SPI
    return ssm_hdl_open_spi(&core, model, bus_transfer, NULL);
#else
    return ssm_hdl_open_registers(&core, model, REGISTERS);
#endif
}

static int equal(int k)
{
    int32_t results[sizeof mine_results[0] / sizeof mine_results[0][0]] = {0};
    ssm_hdl_error error = ssm_hdl_run(&core, mine_samples[k], mine_model.steps, results);

    if (error != SSM_HDL_OK)
        printf("sequence %d: error %d\n", k, (int)error);
    return error == SSM_HDL_OK && memcmp(results, mine_results[k], sizeof results) == 0;
}

#ifdef SPI
static int absent(void *context, const uint8_t *out, uint8_t *in, size_t count)
{
    (void)out;
    while (count--)
        *in++ = *(uint8_t *)context;
    return 0;
}

static int broken(void *context, const uint8_t *out, uint8_t *in, size_t count)
{
    (void)context, (void)out, (void)in, (void)count;
    return -1;
}
#endif

int main(void)
{
    ssm_hdl_model other = mine_model;
    int32_t code = 0;
    uint32_t n;
    uint8_t status = 0;
    int last = 0, k;

    bus_start();
    other.fingerprint ^= 0x100;
    CHECK(begin(&other) == SSM_HDL_OTHER);
    CHECK(begin(&mine_model) == SSM_HDL_OK);
    for (k = 0; k < SEQUENCES; k++)
        CHECK(equal(k));

    /* Nothing is there, and nothing was changed by looking. */
    CHECK(ssm_hdl_get(&core, &code, &last) == SSM_HDL_EMPTY);
    CHECK(ssm_hdl_status(&core, &status) == SSM_HDL_OK && status == SSM_HDL_READY);

    /* Arguments that the model does not have. */
    CHECK(ssm_hdl_put(&core, MINE_SAMPLE_MAX + 1, 0) == SSM_HDL_RANGE);
    CHECK(ssm_hdl_put(&core, MINE_SAMPLE_MIN - 1, 0) == SSM_HDL_RANGE);
    CHECK(ssm_hdl_run(&core, mine_samples[0], 0, &code) == SSM_HDL_RANGE);
    CHECK(!mine_model.per_sequence || ssm_hdl_run(&core, mine_samples[0], MINE_STEPS + 1, &code) == SSM_HDL_RANGE);

    /* A sequence that was cut off. */
    CHECK(ssm_hdl_put(&core, mine_samples[0][0], 0) == SSM_HDL_OK);
    CHECK(ssm_hdl_reset(&core) == SSM_HDL_OK);
    CHECK(equal(1));

    /* Nobody takes the results. */
    for (n = 0; n < 100000 && ssm_hdl_put(&core, MINE_SAMPLE_MAX, 1) != SSM_HDL_BUSY; n++)
        ;
    CHECK(ssm_hdl_put(&core, MINE_SAMPLE_MAX, 1) == SSM_HDL_BUSY);
    CHECK(ssm_hdl_run(&core, mine_samples[0], MINE_STEPS, &code) == SSM_HDL_ORDER);
    CHECK(ssm_hdl_get(&core, &code, &last) == SSM_HDL_OK && last == 1);
    CHECK(ssm_hdl_reset(&core) == SSM_HDL_OK);
    CHECK(equal(0));

#ifdef SPI
    {
        uint8_t out[64] = {SSM_HDL_C_SAMPLES}, in[64], idle = 0;

        CHECK(ssm_hdl_interrupt(&core, 1) == SSM_HDL_BUS);
        for (k = 0; k < 100; k++) {
            CHECK(bus_transfer(NULL, out, in, sizeof out) == 0);
            if (in[0] & SSM_HDL_LOST)
                break;
        }
        CHECK(k < 100);
        CHECK(bus_transfer(NULL, out, in, sizeof out) == 0);
        CHECK(ssm_hdl_put(&core, 0, 0) == SSM_HDL_ORDER);
        CHECK(ssm_hdl_reset(&core) == SSM_HDL_OK);
        out[0] = 0xff; /* no command: its samples, results and resets do nothing */
        CHECK(bus_transfer(NULL, out, in, sizeof out) == 0 && in[1] == 0);
        CHECK(equal(1));
        CHECK(ssm_hdl_open_spi(&core, &mine_model, broken, NULL) == SSM_HDL_BUS);
        CHECK(ssm_hdl_open_spi(&core, &mine_model, absent, &idle) == SSM_HDL_OTHER);
        CHECK(ssm_hdl_run(&core, mine_samples[0], 1, &code) == SSM_HDL_STUCK);
        idle = 0xff;
        CHECK(ssm_hdl_run(&core, mine_samples[0], 1, &code) == SSM_HDL_ORDER);
    }
#else
#ifdef LITEX
    bus_write(CSR_MINE_EV_ENABLE_ADDR, 1);
#endif
    CHECK(ssm_hdl_interrupt(&core, 1) == SSM_HDL_OK && !bus_irq());
    CHECK(ssm_hdl_reset(&core) == SSM_HDL_OK);
    for (n = 0; n < MINE_SAMPLES; n++)
        CHECK(ssm_hdl_put(&core, 0, 1) == SSM_HDL_OK);
    for (n = 0; n < 100000 && !bus_irq(); n++)
        CHECK(ssm_hdl_status(&core, &status) == SSM_HDL_OK);
    CHECK(bus_irq());
    CHECK(ssm_hdl_interrupt(&core, 0) == SSM_HDL_OK && !bus_irq());

    /* The driver never makes an error on the bus; who reads a result that is not there makes one. */
    CHECK(ssm_hdl_reset(&core) == SSM_HDL_OK);
    CHECK(bus_errors() == 0);
    (void)bus_read(REGISTERS + SSM_HDL_RESULT);
    CHECK(bus_errors() == 1);
    CHECK(equal(0));
#endif
    puts("OK");
    return 0;
}
