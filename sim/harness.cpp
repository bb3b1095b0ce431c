// Drives a pipeline compiled by Verilator: elements in, elements out, random stalls at both ends, the time of every packet.
// Python (verilated.py) owns every buffer and calls through ctypes; Job mirrors its structure of the same name.

#include <cstdint>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Job {
    // What to do. Beats are elements; a packet is a time step, or at the output whatever the manifest says.
    const uint64_t* i_data;   // codes to send
    uint64_t* o_data;         // codes received
    uint8_t* o_last;          // the `last` that came with each
    uint64_t* i_cycles;       // cycle in which each packet was sent whole
    uint64_t* o_cycles;       // cycle in which each packet was received whole
    uint64_t i_beats, o_beats;
    uint64_t i_packet, o_packet;  // beats in a packet
    uint64_t i_sequence;          // beats in a sequence
    uint64_t i_stall, o_stall;    // chance of a stall in a cycle, in units of 2**-32
    uint64_t o_pause;             // cycles in which nothing moves before the reader takes some results; 0: it does not wait
    uint64_t random;              // state of the generator, not 0
    const uint8_t* w_data;        // weights to send, before the first sample is taken
    uint64_t w_beats, w_done;
    uint64_t l_mask;              // bits of results to invert inside
    uint64_t l_turns;             // the mask turns
    uint64_t l_period, l_stall;   // cycles between new stalls inside, or 0; chance of one, in units of 2**-32
    // How far it is.
    uint64_t i_done, o_done, cycle;
    uint64_t quiet;       // cycles since something moved
    uint64_t o_take;      // results to take before the next pause
    uint64_t violations;  // results that were withdrawn or changed before they were taken
    uint64_t l_sum;       // of the results inside
};

struct Model {
    VerilatedContext context;
    Vtop top{&context};
};

// xorshift64*: Marsaglia 2003, Vigna 2016.
inline uint64_t draw(uint64_t& state) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1DULL >> 32;
}

inline bool chance(uint64_t& state, uint64_t of) { return draw(state) < of; }

inline void tick(Vtop& top) {
    top.clk = 1;
    top.eval();
    top.clk = 0;
}

}  // namespace

extern "C" {

Model* model_new() { return new Model; }

void model_free(Model* model) {
    model->top.final();
    delete model;
}

// One cycle of reset, with nothing offered and nothing taken.
void model_reset(Model* model) {
    Vtop& top = model->top;
    top.rst = 1;
    top.i_valid = 0;
    top.o_ready = 0;
#ifdef WEIGHTS
    top.w_valid = 0;
#endif
#ifdef LINKS
    top.Link_stall = 0;
#endif
    top.eval();
    tick(top);
    top.rst = 0;
}

// Go on with a job for a number of cycles, or until nothing has moved for `patience` cycles, `drain` once it is done.
void model_run(Model* model, Job* job, uint64_t cycles, uint64_t patience, uint64_t drain) {
    Vtop& top = model->top;
    Job j = *job;
    bool waiting = false;  // a result was offered and not taken
    auto waiting_data = top.o_data;
    auto waiting_last = top.o_last;
#ifdef LINKS
    top.Link_mask = j.l_mask;
    top.Link_turns = j.l_turns;
#endif
    for (const uint64_t end = j.cycle + cycles; j.cycle < end; ++j.cycle) {
        if (j.quiet >= (j.o_done < j.o_beats ? patience : drain)) break;
        if (!top.i_valid && j.i_done < j.i_beats && !(j.i_stall && chance(j.random, j.i_stall))) {
            top.i_valid = 1;
            top.i_data = j.i_data[j.i_done];
            top.i_last = j.i_done % j.i_sequence >= j.i_sequence - j.i_packet;
        }
        if (j.o_pause && !j.o_take && j.quiet >= j.o_pause) j.o_take = 1 + draw(j.random) % (2 * j.o_packet);
        top.o_ready = !(j.o_stall && chance(j.random, j.o_stall)) && (!j.o_pause || j.o_take);
#ifdef WEIGHTS
        if (!top.w_valid && j.w_done < j.w_beats && !(j.i_stall && chance(j.random, j.i_stall))) {
            top.w_valid = 1;
            top.w_data = j.w_data[j.w_done];
        }
#endif
#ifdef LINKS
        if (j.l_period && j.cycle % j.l_period == 0) {
            uint64_t held = 0;
            for (int link = 0; link < 64; ++link) held = held << 1 | chance(j.random, j.l_stall);
            top.Link_stall = held;
        }
#endif
        top.eval();
        ++j.quiet;
        const bool sent = top.i_valid && top.i_ready;
        const bool received = top.o_valid && top.o_ready;
        if (waiting && (!top.o_valid || top.o_data != waiting_data || top.o_last != waiting_last)) ++j.violations;
        waiting = top.o_valid && !top.o_ready;
        waiting_data = top.o_data;
        waiting_last = top.o_last;
        if (sent) {
            j.i_cycles[j.i_done / j.i_packet] = j.cycle;
            ++j.i_done;
            j.quiet = 0;
        }
        if (received) {
            if (j.o_done < j.o_beats) {
                j.o_data[j.o_done] = top.o_data;
                j.o_last[j.o_done] = top.o_last;
                j.o_cycles[j.o_done / j.o_packet] = j.cycle;
            }
            ++j.o_done;
            j.o_take -= j.o_take != 0;
            j.quiet = 0;
        }
#ifdef WEIGHTS
        const bool loaded = top.w_valid && top.w_ready;
        if (loaded) {
            ++j.w_done;
            j.quiet = 0;
        }
#endif
        tick(top);
        if (sent) top.i_valid = 0;
#ifdef WEIGHTS
        if (loaded) top.w_valid = 0;
#endif
    }
#ifdef LINKS
    j.l_sum = top.Link_sum;
#endif
    *job = j;
}
}
