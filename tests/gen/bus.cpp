// Accesses to a wrapper, with random pauses between them. The test puts a line before it that defines LITE, LITEX or SPI.

#include "bus.h"

#include "Vtop.h"
#include "verilated.h"

#if defined(LITE)
#define CLOCK aclk
#elif defined(LITEX)
#define CLOCK sys_clk
#define RESET sys_rst
#else
#define CLOCK clk
#define RESET rst
#endif

namespace {

VerilatedContext context;
Vtop top{&context};
int errors = 0;
uint32_t noise = 1;

void tick(int cycles = 1) {
    while (cycles--) {
        top.CLOCK = 1;
        top.eval();
        top.CLOCK = 0;
        top.eval();
    }
}

void rest() {
    noise = noise * 1664525u + 1013904223u;
    tick(noise >> 29);
}

#ifdef LITEX
// Through the port of a host, on the bus of the system.
uint32_t access(uintptr_t address, bool write, uint32_t value) {
    rest();
    top.host_cyc = top.host_stb = 1;
    top.host_we = write;
    top.host_adr = address / 4;
    top.host_dat_w = value;
    do tick();
    while (!top.host_ack && !top.host_err);
    errors += top.host_err;
    top.host_cyc = top.host_stb = 0;
    value = top.host_dat_r;
    tick();
    return value;
}
#endif

#ifdef LITE
uint32_t access(uintptr_t address, bool write, uint32_t value) {
    rest();
    top.s_axi_awvalid = top.s_axi_wvalid = write;
    top.s_axi_arvalid = !write;
    top.s_axi_awaddr = top.s_axi_araddr = address - BASE;
    top.s_axi_wdata = value;
    top.s_axi_wstrb = 15;
    top.eval();
    while (!(write ? top.s_axi_awready && top.s_axi_wready : top.s_axi_arready)) tick();
    tick();
    top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_arvalid = 0;
    rest();
    top.s_axi_bready = top.s_axi_rready = 1;
    while (!(write ? top.s_axi_bvalid : top.s_axi_rvalid)) tick();
    errors += (write ? top.s_axi_bresp : top.s_axi_rresp) != 0;
    value = top.s_axi_rdata;
    tick();
    top.s_axi_bready = top.s_axi_rready = 0;
    return value;
}
#endif

}  // namespace

void bus_start(void) {
#ifdef SPI
    top.spi_cs_n = 1;
#endif
#ifdef LITE
    top.aresetn = 0;
    tick(2);
    top.aresetn = 1;
#else
#ifdef LITEX
    top.host_sel = 15;
#endif
    top.RESET = 1;
    tick(2);
    top.RESET = 0;
#endif
    tick(4);
}

#ifdef SPI
// A bit lasts eight cycles, the shortest that the target takes.
int bus_transfer(void*, const uint8_t* out, uint8_t* in, size_t count) {
    rest();
    top.spi_cs_n = 0;
    tick(4);
    for (size_t k = 0; k < count; k++) {
        uint8_t came = 0;
        for (int bit = 7; bit >= 0; bit--) {
            top.spi_copi = out[k] >> bit & 1;
            tick(4);
            came = came << 1 | top.spi_cipo;
            top.spi_sck = 1;
            tick(4);
            top.spi_sck = 0;
        }
        in[k] = came;
    }
    tick(4);
    top.spi_cs_n = 1;
    tick(4);
    return 0;
}
#else
uint32_t bus_read(uintptr_t address) { return access(address, false, 0); }
void bus_write(uintptr_t address, uint32_t value) { (void)access(address, true, value); }
int bus_irq(void) { return top.irq; }
#endif

int bus_errors(void) {
    int all = errors;
    errors = 0;
    return all;
}
