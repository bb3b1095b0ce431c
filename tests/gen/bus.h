/* The machine that the C driver runs on: a wrapper under Verilator. */
#ifndef BUS_H
#define BUS_H

#include <stddef.h>
#include <stdint.h>

#define BASE 0x30000100u

#ifdef __cplusplus
extern "C" {
#endif

void bus_start(void);
uint32_t bus_read(uintptr_t address);
void bus_write(uintptr_t address, uint32_t value);
int bus_transfer(void *context, const uint8_t *out, uint8_t *in, size_t count);
int bus_irq(void);
int bus_errors(void); /* accesses that were refused, since the last call */

#ifdef __cplusplus
}
#endif

#endif
