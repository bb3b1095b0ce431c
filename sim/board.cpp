// Drives a design with a serial line, compiled by Verilator, through its pins: bytes become levels on `rx`, levels on `tx`
// become bytes. Python (board.py) calls through ctypes.

#include <cstdint>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int kBits = 10;  // start, 8 data, stop

struct Board {
    explicit Board(uint32_t cycles) : divisor(cycles) {}
    VerilatedContext context;
    Vtop top{&context};
    const uint32_t divisor;  // clock cycles a bit
    uint32_t i_shift = 0, i_bits = 0, i_time = 0;  // the byte on `rx`: bits and cycles left
#ifdef FLASH
    const uint8_t* flash = nullptr;  // its contents, from address 0 on
    uint64_t flash_bytes = 0;
    bool awake = false, last_cs = false, last_sck = false;
    uint32_t command = 0, bits = 0, address = 0;  // of the command at hand: bits that came
#endif
    uint32_t o_shift = 0, o_bits = 0, o_time = 0;  // the byte on `tx`: bits left, cycles to the middle of the next
};

#ifdef FLASH
// One look at the pins of a flash that sleeps until it is woken and knows the plain read.
void flash(Board& b) {
    const bool cs = b.top.flash_cs, sck = b.top.flash_sck;
    if (!cs && b.last_cs && b.bits == 8 && b.command == 0xAB) b.awake = true;
    if (!cs) b.bits = 0;
    if (cs && sck && !b.last_sck) {
        if (b.bits < 32) b.command = b.command << 1 | b.top.flash_copi;
        ++b.bits;
        b.address = b.command & 0xFFFFFF;
    }
    if (cs && !sck && b.last_sck && b.awake && b.bits >= 32 && b.command >> 24 == 0x03) {
        const uint64_t byte = b.address + (b.bits - 32) / 8;
        b.top.flash_cipo = byte < b.flash_bytes ? b.flash[byte] >> (7 - b.bits % 8) & 1 : 1;
    }
    b.last_cs = cs;
    b.last_sck = sck;
}
#endif

}  // namespace

extern "C" {

Board* board_new(uint32_t divisor) {
    Board* board = new Board(divisor);
    board->top.clk = 0;
    board->top.rst = 0;
    board->top.rx = 1;
    board->top.eval();
    return board;
}

void board_free(Board* board) {
    board->top.final();
    delete board;
}

// Sets the reset of the design.
void board_reset(Board* board, bool level) { board->top.rst = level; }

#ifdef FLASH
// What is in the flash; it has to live as long as the board.
void board_flash(Board* board, const uint8_t* contents, uint64_t bytes) {
    board->flash = contents;
    board->flash_bytes = bytes;
}
#endif

// Runs some cycles. Takes up to `i_count` bytes from `i_data` and gives bytes to `o_data`, which has to have room for one a
// `10 * divisor` cycles and two more; `*i_done` and `*o_done` say how many. True while the design or a line is busy.
bool board_run(Board* board, uint64_t cycles, const uint8_t* i_data, uint64_t i_count, uint64_t* i_done, uint8_t* o_data,
               uint64_t* o_done) {
    Board& b = *board;
    *i_done = *o_done = 0;
    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        if (b.i_bits && --b.i_time == 0) {
            --b.i_bits;
            b.i_shift >>= 1;
            b.i_time = b.divisor;
        }
        if (!b.i_bits && *i_done < i_count) {
            b.i_shift = static_cast<uint32_t>(i_data[(*i_done)++]) << 1 | 1u << (kBits - 1);
            b.i_bits = kBits;
            b.i_time = b.divisor;
        }
        b.top.rx = b.i_bits ? b.i_shift & 1 : 1;
#ifdef FLASH
        flash(b);
#endif
        b.top.eval();
        if (b.o_bits) {
            if (--b.o_time == 0) {
                b.o_shift = b.o_shift >> 1 | static_cast<uint32_t>(b.top.tx) << (kBits - 1);
                b.o_time = b.divisor;
                if (--b.o_bits == 0 && b.top.tx) o_data[(*o_done)++] = b.o_shift >> 1 & 0xFF;
            }
        } else if (!b.top.tx) {
            b.o_bits = kBits;
            b.o_time = b.divisor / 2 + 1;
        }
        b.top.clk = 1;
        b.top.eval();
        b.top.clk = 0;
        b.top.eval();
    }
    return b.i_bits || b.o_bits || b.top.busy;
}
}
