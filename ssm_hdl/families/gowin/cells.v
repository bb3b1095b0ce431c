// Models of the Gowin cells that Yosys knows only by their ports, in the modes that its technology maps and this project use; a
// design with any other mode does not compile. Yosys's own models, which are read after this file, have SP and SPX9 again, empty.

// A product of WIDTH by WIDTH bits, with or without registers at the operands, inside, and at the result.
module GOWIN_MULT #(
    parameter WIDTH = 18, AREG = 0, BREG = 0, PIPE_REG = 0, OUT_REG = 0
) (
    input [WIDTH-1:0] A, B,
    input ASIGN, BSIGN, CE, CLK, RESET,
    output [2*WIDTH-1:0] DOUT
);
    reg signed [WIDTH:0] a_stored = 0, b_stored = 0;
    reg signed [2*WIDTH-1:0] product_stored = 0, result_stored = 0;
    wire signed [WIDTH:0] a = {ASIGN & A[WIDTH-1], A}, b = {BSIGN & B[WIDTH-1], B};
    wire signed [WIDTH:0] a_in = AREG ? a_stored : a, b_in = BREG ? b_stored : b;
    wire signed [2*WIDTH-1:0] product = a_in * b_in, piped = PIPE_REG ? product_stored : product;
    always @(posedge CLK)
        if (RESET) {a_stored, b_stored, product_stored, result_stored} <= 0;
        else if (CE) begin
            a_stored <= a;
            b_stored <= b;
            product_stored <= product;
            result_stored <= piped;
        end
    assign DOUT = OUT_REG ? result_stored : piped;
endmodule

// A multiplier as Yosys names its ports; the same for both widths.
`define MULTIPLIER(NAME, WIDTH) \
module NAME ( \
    input [WIDTH-1:0] A, SIA, B, SIB, \
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, \
    output [2*WIDTH-1:0] DOUT, \
    output [WIDTH-1:0] SOA, SOB \
); \
    parameter AREG = 1'b0; \
    parameter BREG = 1'b0; \
    parameter OUT_REG = 1'b0; \
    parameter PIPE_REG = 1'b0; \
    parameter ASIGN_REG = 1'b0; \
    parameter BSIGN_REG = 1'b0; \
    parameter SOA_REG = 1'b0; \
    parameter MULT_RESET_MODE = "SYNC"; \
    generate \
        if (ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC") \
            $error("no model of registered signs, of shifted operands, of an asynchronous reset"); \
    endgenerate \
    GOWIN_MULT #(WIDTH, AREG, BREG, PIPE_REG, OUT_REG) mult (A, B, ASIGN, BSIGN, CE, CLK, RESET, DOUT); \
endmodule
`MULTIPLIER(MULT18X18, 18)
`MULTIPLIER(MULT9X9, 9)

// A memory of 512 words of four bytes, of 8 or 9 bits each, with two ports of 1 to 36 bits.
module GOWIN_BSRAM #(
    parameter BYTE = 9, WIDTH_A = 36, WIDTH_B = 36, MODE_A = 0, MODE_B = 0, ASYNC = 0,
    parameter [2048*BYTE-1:0] INIT = 0
) (
    input clk_a, ce_a, we_a, reset_a, clk_b, ce_b, we_b, reset_b,
    input [13:0] a, b,
    input [35:0] d_a, d_b,
    output [35:0] q_a, q_b
);
    reg [4*BYTE-1:0] words [0:511];
    integer i;
    initial for (i = 0; i < 512; i = i + 1) words[i] = INIT[4*BYTE*i +: 4*BYTE];

    // Numbers of 1, 2 and 4 bits leave the top bit of a byte of 9 unused.
    function [35:0] pick(input integer width, input [13:0] address, input [4*BYTE-1:0] word);
        reg [BYTE-1:0] byte_;
        begin
            byte_ = word[BYTE*address[4:3] +: BYTE];
            case (width)
                36, 32: pick = word;
                18, 16: pick = word[2*BYTE*address[4] +: 2*BYTE];
                4: pick = byte_[4*address[2] +: 4];
                2: pick = byte_[2*address[2:1] +: 2];
                1: pick = byte_[address[2:0]];
                default: pick = byte_;
            endcase
        end
    endfunction

    function [4*BYTE-1:0] merge(input integer width, input [13:0] address, input [4*BYTE-1:0] word, input [35:0] data);
        integer k;
        begin
            merge = word;
            case (width)
                36, 32: for (k = 0; k < 4; k = k + 1) if (address[k]) merge[BYTE*k +: BYTE] = data[BYTE*k +: BYTE];
                18, 16: for (k = 0; k < 2; k = k + 1)
                    if (address[k]) merge[2*BYTE*address[4] + BYTE*k +: BYTE] = data[BYTE*k +: BYTE];
                4: merge[BYTE*address[4:3] + 4*address[2] +: 4] = data[3:0];
                2: merge[BYTE*address[4:3] + 2*address[2:1] +: 2] = data[1:0];
                1: merge[BYTE*address[4:3] + address[2:0]] = data[0];
                default: merge[BYTE*address[4:3] +: BYTE] = data[BYTE-1:0];
            endcase
        end
    endfunction

    wire [4*BYTE-1:0] old_a = words[a[13:5]], old_b = words[b[13:5]];
    wire [4*BYTE-1:0] new_a = merge(WIDTH_A, a, old_a, d_a), new_b = merge(WIDTH_B, b, old_b, d_b);
    always @(posedge clk_a) if (ce_a && we_a) words[a[13:5]] <= new_a;
    always @(posedge clk_b) if (ce_b && we_b) words[b[13:5]] <= new_b;
    GOWIN_BSRAM_OUTPUT #(MODE_A, ASYNC) output_a (
        clk_a, ce_a, we_a, reset_a, pick(WIDTH_A, a, old_a), pick(WIDTH_A, a, new_a), q_a
    );
    GOWIN_BSRAM_OUTPUT #(MODE_B, ASYNC) output_b (
        clk_b, ce_b, we_b, reset_b, pick(WIDTH_B, b, old_b), pick(WIDTH_B, b, new_b), q_b
    );
endmodule

// What a port reads: held while disabled; a write holds it too, or passes through, or reads what was there.
module GOWIN_BSRAM_OUTPUT #(
    parameter MODE = 0, ASYNC = 0
) (
    input clk, ce, we, reset,
    input [35:0] old_data, new_data,
    output reg [35:0] q
);
    initial q = 0;
    wire moves = ce && (!we || MODE != 0);
    wire [35:0] d = we && MODE == 1 ? new_data : old_data;
    generate
        if (ASYNC) always @(posedge clk or posedge reset) if (reset) q <= 0; else if (moves) q <= d;
        if (!ASYNC) always @(posedge clk) if (reset) q <= 0; else if (moves) q <= d;
    endgenerate
endmodule

`define INIT_PARAMETERS(BITS) parameter [BITS-1:0] \
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0, \
    INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0, \
    INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, \
    INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, \
    INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0, \
    INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, INIT_RAM_23 = 0, \
    INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0, \
    INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, \
    INIT_RAM_30 = 0, INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, \
    INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, \
    INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
`define INIT { \
    INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38, \
    INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30, \
    INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28, \
    INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20, \
    INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18, \
    INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10, \
    INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08, \
    INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00}

// A memory with one port, of bytes of 8 or 9 bits.
`define SINGLE_PORT(NAME, BYTE) \
module NAME ( \
    input [4*BYTE-1:0] DI, \
    input [2:0] BLKSEL, \
    input [13:0] AD, \
    input WRE, CLK, CE, OCE, RESET, \
    output [4*BYTE-1:0] DO \
); \
    parameter READ_MODE = 1'b0; \
    parameter WRITE_MODE = 2'b00; \
    parameter BIT_WIDTH = 4*BYTE; \
    parameter BLK_SEL = 3'b000; \
    parameter RESET_MODE = "SYNC"; \
    `INIT_PARAMETERS(32*BYTE) \
    generate \
        if (READ_MODE || BLK_SEL) $error("no model of its output register, of block selects"); \
    endgenerate \
    wire [35:0] read_a, read_b, data = DI; \
    GOWIN_BSRAM #(BYTE, BIT_WIDTH, BIT_WIDTH, WRITE_MODE, 0, RESET_MODE == "ASYNC", `INIT) ram ( \
        CLK, CE, WRE, RESET, CLK, 1'b0, 1'b0, 1'b0, AD, AD, data, 36'b0, read_a, read_b \
    ); \
    assign DO = read_a[4*BYTE-1:0]; \
endmodule
`SINGLE_PORT(SP, 8)
`SINGLE_PORT(SPX9, 9)

// A memory that port A writes and port B reads.
`define HALF_PORTS(NAME, BYTE) \
module NAME ( \
    input [4*BYTE-1:0] DI, \
    input [2:0] BLKSELA, BLKSELB, \
    input [13:0] ADA, ADB, \
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE, \
    output [4*BYTE-1:0] DO \
); \
    parameter READ_MODE = 1'b0; \
    parameter BIT_WIDTH_0 = 4*BYTE; \
    parameter BIT_WIDTH_1 = 4*BYTE; \
    parameter BLK_SEL_0 = 3'b000; \
    parameter BLK_SEL_1 = 3'b000; \
    parameter RESET_MODE = "SYNC"; \
    `INIT_PARAMETERS(32*BYTE) \
    generate \
        if (READ_MODE || BLK_SEL_0 || BLK_SEL_1) $error("no model of its output register, of block selects"); \
    endgenerate \
    wire [35:0] read_a, read_b, data = DI; \
    GOWIN_BSRAM #(BYTE, BIT_WIDTH_0, BIT_WIDTH_1, 0, 0, RESET_MODE == "ASYNC", `INIT) ram ( \
        CLKA, CEA, 1'b1, RESETA, CLKB, CEB, 1'b0, RESETB, ADA, ADB, data, 36'b0, read_a, read_b \
    ); \
    assign DO = read_b[4*BYTE-1:0]; \
endmodule
`HALF_PORTS(SDPB, 8)
`HALF_PORTS(SDPX9B, 9)

// A memory with two ports that read and write.
`define TWO_PORTS(NAME, BYTE) \
module NAME ( \
    input [2*BYTE-1:0] DIA, DIB, \
    input [2:0] BLKSELA, BLKSELB, \
    input [13:0] ADA, ADB, \
    input CLKA, CEA, WREA, RESETA, OCEA, CLKB, CEB, WREB, RESETB, OCEB, \
    output [2*BYTE-1:0] DOA, DOB \
); \
    parameter READ_MODE0 = 1'b0; \
    parameter READ_MODE1 = 1'b0; \
    parameter WRITE_MODE0 = 2'b00; \
    parameter WRITE_MODE1 = 2'b00; \
    parameter BIT_WIDTH_0 = 2*BYTE; \
    parameter BIT_WIDTH_1 = 2*BYTE; \
    parameter BLK_SEL_0 = 3'b000; \
    parameter BLK_SEL_1 = 3'b000; \
    parameter RESET_MODE = "SYNC"; \
    `INIT_PARAMETERS(32*BYTE) \
    generate \
        if (READ_MODE0 || READ_MODE1 || BLK_SEL_0 || BLK_SEL_1) $error("no model of its output register, of block selects"); \
    endgenerate \
    wire [35:0] read_a, read_b, data_a = DIA, data_b = DIB; \
    GOWIN_BSRAM #(BYTE, BIT_WIDTH_0, BIT_WIDTH_1, WRITE_MODE0, WRITE_MODE1, RESET_MODE == "ASYNC", `INIT) ram ( \
        CLKA, CEA, WREA, RESETA, CLKB, CEB, WREB, RESETB, ADA, ADB, data_a, data_b, read_a, read_b \
    ); \
    assign DOA = read_a[2*BYTE-1:0]; \
    assign DOB = read_b[2*BYTE-1:0]; \
endmodule
`TWO_PORTS(DPB, 8)
`TWO_PORTS(DPX9B, 9)
