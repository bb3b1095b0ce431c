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

module MULT18X18 (
    input [17:0] A, SIA, B, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT,
    output [17:0] SOA, SOB
);
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter ASIGN_REG = 1'b0;
    parameter BSIGN_REG = 1'b0;
    parameter SOA_REG = 1'b0;
    parameter MULT_RESET_MODE = "SYNC";
    generate
        if (ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC")
            $error("MULT18X18: no model of registered signs, of shifted operands, of an asynchronous reset");
    endgenerate
    GOWIN_MULT #(18, AREG, BREG, PIPE_REG, OUT_REG) mult (A, B, ASIGN, BSIGN, CE, CLK, RESET, DOUT);
endmodule

module MULT9X9 (
    input [8:0] A, SIA, B, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [17:0] DOUT,
    output [8:0] SOA, SOB
);
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter ASIGN_REG = 1'b0;
    parameter BSIGN_REG = 1'b0;
    parameter SOA_REG = 1'b0;
    parameter MULT_RESET_MODE = "SYNC";
    generate
        if (ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC")
            $error("MULT9X9: no model of registered signs, of shifted operands, of an asynchronous reset");
    endgenerate
    GOWIN_MULT #(9, AREG, BREG, PIPE_REG, OUT_REG) mult (A, B, ASIGN, BSIGN, CE, CLK, RESET, DOUT);
endmodule

// A memory of 512 words of four bytes, of 8 or 9 bits each, with one port that writes and one that reads.
module GOWIN_BSRAM #(
    parameter BYTE = 9, WRITE_WIDTH = 36, READ_WIDTH = 36, THROUGH = 0, ASYNC = 0,
    parameter [2048*BYTE-1:0] INIT = 0
) (
    input write_clk, write,
    input [13:0] write_address,
    input [35:0] d,
    input read_clk, read, reset,
    input [13:0] read_address,
    output reg [35:0] q
);
    reg [4*BYTE-1:0] words [0:511];
    integer i;
    initial begin
        q = 0;
        for (i = 0; i < 512; i = i + 1) words[i] = INIT[4*BYTE*i +: 4*BYTE];
    end

    // Numbers of 1, 2 and 4 bits leave the top bit of a byte of 9 unused.
    function [35:0] pick(input [13:0] address, input [4*BYTE-1:0] word);
        reg [BYTE-1:0] byte_;
        begin
            byte_ = word[BYTE*address[4:3] +: BYTE];
            case (READ_WIDTH)
                36, 32: pick = word;
                18, 16: pick = word[2*BYTE*address[4] +: 2*BYTE];
                4: pick = byte_[4*address[2] +: 4];
                2: pick = byte_[2*address[2:1] +: 2];
                1: pick = byte_[address[2:0]];
                default: pick = byte_;
            endcase
        end
    endfunction

    function [4*BYTE-1:0] merge(input [13:0] address, input [4*BYTE-1:0] word, input [35:0] data);
        integer k;
        begin
            merge = word;
            case (WRITE_WIDTH)
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

    wire [4*BYTE-1:0] written = merge(write_address, words[write_address[13:5]], d);
    wire [35:0] found = pick(read_address, THROUGH && write ? written : words[read_address[13:5]]);
    always @(posedge write_clk) if (write) words[write_address[13:5]] <= written;
    generate
        if (ASYNC) always @(posedge read_clk or posedge reset) if (reset) q <= 0; else if (read) q <= found;
        if (!ASYNC) always @(posedge read_clk) if (reset) q <= 0; else if (read) q <= found;
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

module SP (
    input [31:0] DI,
    input [2:0] BLKSEL,
    input [13:0] AD,
    input WRE, CLK, CE, OCE, RESET,
    output [31:0] DO
);
    parameter READ_MODE = 1'b0;
    parameter WRITE_MODE = 2'b00;
    parameter BIT_WIDTH = 32;
    parameter BLK_SEL = 3'b000;
    parameter RESET_MODE = "SYNC";
    `INIT_PARAMETERS(256)
    generate
        if (READ_MODE || BLK_SEL) $error("SP: no model of its output register, of block selects");
    endgenerate
    wire [35:0] read;
    GOWIN_BSRAM #(8, BIT_WIDTH, BIT_WIDTH, WRITE_MODE == 1, RESET_MODE == "ASYNC", `INIT) ram (
        CLK, CE & WRE, AD, {4'b0, DI}, CLK, CE & (!WRE | WRITE_MODE != 0), RESET, AD, read
    );
    assign DO = read[31:0];
endmodule

module SDPB (
    input [31:0] DI,
    input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB,
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE,
    output [31:0] DO
);
    parameter READ_MODE = 1'b0;
    parameter BIT_WIDTH_0 = 32;
    parameter BIT_WIDTH_1 = 32;
    parameter BLK_SEL_0 = 3'b000;
    parameter BLK_SEL_1 = 3'b000;
    parameter RESET_MODE = "SYNC";
    `INIT_PARAMETERS(256)
    generate
        if (READ_MODE || BLK_SEL_0 || BLK_SEL_1) $error("SDPB: no model of its output register, of block selects");
    endgenerate
    wire [35:0] read;
    GOWIN_BSRAM #(8, BIT_WIDTH_0, BIT_WIDTH_1, 0, RESET_MODE == "ASYNC", `INIT) ram (
        CLKA, CEA, ADA, {4'b0, DI}, CLKB, CEB, RESETB, ADB, read
    );
    assign DO = read[31:0];
endmodule

module SPX9 (
    input [35:0] DI,
    input [2:0] BLKSEL,
    input [13:0] AD,
    input WRE, CLK, CE, OCE, RESET,
    output [35:0] DO
);
    parameter READ_MODE = 1'b0;
    parameter WRITE_MODE = 2'b00;
    parameter BIT_WIDTH = 36;
    parameter BLK_SEL = 3'b000;
    parameter RESET_MODE = "SYNC";
    `INIT_PARAMETERS(288)
    generate
        if (READ_MODE || BLK_SEL) $error("SPX9: no model of its output register, of block selects");
    endgenerate
    wire [35:0] read;
    GOWIN_BSRAM #(9, BIT_WIDTH, BIT_WIDTH, WRITE_MODE == 1, RESET_MODE == "ASYNC", `INIT) ram (
        CLK, CE & WRE, AD, DI, CLK, CE & (!WRE | WRITE_MODE != 0), RESET, AD, read
    );
    assign DO = read[35:0];
endmodule

module SDPX9B (
    input [35:0] DI,
    input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB,
    input CLKA, CEA, RESETA, CLKB, CEB, RESETB, OCE,
    output [35:0] DO
);
    parameter READ_MODE = 1'b0;
    parameter BIT_WIDTH_0 = 36;
    parameter BIT_WIDTH_1 = 36;
    parameter BLK_SEL_0 = 3'b000;
    parameter BLK_SEL_1 = 3'b000;
    parameter RESET_MODE = "SYNC";
    `INIT_PARAMETERS(288)
    generate
        if (READ_MODE || BLK_SEL_0 || BLK_SEL_1) $error("SDPX9B: no model of its output register, of block selects");
    endgenerate
    wire [35:0] read;
    GOWIN_BSRAM #(9, BIT_WIDTH_0, BIT_WIDTH_1, 0, RESET_MODE == "ASYNC", `INIT) ram (
        CLKA, CEA, ADA, DI, CLKB, CEB, RESETB, ADB, read
    );
    assign DO = read[35:0];
endmodule
