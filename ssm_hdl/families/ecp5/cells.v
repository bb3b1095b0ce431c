// Models of the two ECP5 cells that Yosys knows only by their ports, in the modes that its technology maps and this project
// use; a design with any other mode does not compile.

`define NO_INCLUDES  // leaves the input and output cells out of Yosys's own models, which are read after this file

// A product of 18 by 18 bits, with or without registers at the operands, inside, and at the result.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTA_CE = "CE0";
    parameter REG_INPUTA_RST = "RST0";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTB_CE = "CE0";
    parameter REG_INPUTB_RST = "RST0";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_PIPELINE_CE = "CE0";
    parameter REG_PIPELINE_RST = "RST0";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter REG_OUTPUT_CE = "CE0";
    parameter REG_OUTPUT_RST = "RST0";
    parameter GSR = "ENABLED";

    wire signed [18:0] a = {SIGNEDA & A17,
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire signed [18:0] b = {SIGNEDB & B17,
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [18:0] a_registered, b_registered;
    wire signed [35:0] product = a_registered * b_registered;
    wire signed [35:0] product_registered, result;

    MULT18X18D_REGISTER #(19, REG_INPUTA_CLK, REG_INPUTA_CE, REG_INPUTA_RST) register_a (CLK0, CE0, RST0, a, a_registered);
    MULT18X18D_REGISTER #(19, REG_INPUTB_CLK, REG_INPUTB_CE, REG_INPUTB_RST) register_b (CLK0, CE0, RST0, b, b_registered);
    MULT18X18D_REGISTER #(36, REG_PIPELINE_CLK, REG_PIPELINE_CE, REG_PIPELINE_RST)
        register_pipeline (CLK0, CE0, RST0, product, product_registered);
    MULT18X18D_REGISTER #(36, REG_OUTPUT_CLK, REG_OUTPUT_CE, REG_OUTPUT_RST)
        register_output (CLK0, CE0, RST0, product_registered, result);

    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = result;
endmodule

module MULT18X18D_REGISTER #(
    parameter WIDTH = 1, CLK = "NONE", CE = "CE0", RST = "RST0"
) (
    input CLK0, CE0, RST0,
    input [WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
    reg [WIDTH-1:0] stored = 0;
    always @(posedge CLK0) if (RST0) stored <= 0; else if (CE0) stored <= d;
    generate
        if (CLK == "NONE") assign q = d;
        else if (CLK == "CLK0" && CE == "CE0" && RST == "RST0") assign q = stored;
        else $error("MULT18X18D: no model of a register with clock %s, enable %s, reset %s", CLK, CE, RST);
    endgenerate
endmodule

// A memory of 1,024 words of 18 bits with two ports of 1 to 18 bits; if one has 36, port A only writes and port B only reads.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter CSDECODE_A = "0b000";
    parameter CSDECODE_B = "0b000";
    parameter CLKAMUX = "CLKA";
    parameter CLKBMUX = "CLKB";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter GSR = "ENABLED";
    parameter [319:0] INITVAL_00 = 320'h0;
    parameter [319:0] INITVAL_01 = 320'h0;
    parameter [319:0] INITVAL_02 = 320'h0;
    parameter [319:0] INITVAL_03 = 320'h0;
    parameter [319:0] INITVAL_04 = 320'h0;
    parameter [319:0] INITVAL_05 = 320'h0;
    parameter [319:0] INITVAL_06 = 320'h0;
    parameter [319:0] INITVAL_07 = 320'h0;
    parameter [319:0] INITVAL_08 = 320'h0;
    parameter [319:0] INITVAL_09 = 320'h0;
    parameter [319:0] INITVAL_0A = 320'h0;
    parameter [319:0] INITVAL_0B = 320'h0;
    parameter [319:0] INITVAL_0C = 320'h0;
    parameter [319:0] INITVAL_0D = 320'h0;
    parameter [319:0] INITVAL_0E = 320'h0;
    parameter [319:0] INITVAL_0F = 320'h0;
    parameter [319:0] INITVAL_10 = 320'h0;
    parameter [319:0] INITVAL_11 = 320'h0;
    parameter [319:0] INITVAL_12 = 320'h0;
    parameter [319:0] INITVAL_13 = 320'h0;
    parameter [319:0] INITVAL_14 = 320'h0;
    parameter [319:0] INITVAL_15 = 320'h0;
    parameter [319:0] INITVAL_16 = 320'h0;
    parameter [319:0] INITVAL_17 = 320'h0;
    parameter [319:0] INITVAL_18 = 320'h0;
    parameter [319:0] INITVAL_19 = 320'h0;
    parameter [319:0] INITVAL_1A = 320'h0;
    parameter [319:0] INITVAL_1B = 320'h0;
    parameter [319:0] INITVAL_1C = 320'h0;
    parameter [319:0] INITVAL_1D = 320'h0;
    parameter [319:0] INITVAL_1E = 320'h0;
    parameter [319:0] INITVAL_1F = 320'h0;
    parameter [319:0] INITVAL_20 = 320'h0;
    parameter [319:0] INITVAL_21 = 320'h0;
    parameter [319:0] INITVAL_22 = 320'h0;
    parameter [319:0] INITVAL_23 = 320'h0;
    parameter [319:0] INITVAL_24 = 320'h0;
    parameter [319:0] INITVAL_25 = 320'h0;
    parameter [319:0] INITVAL_26 = 320'h0;
    parameter [319:0] INITVAL_27 = 320'h0;
    parameter [319:0] INITVAL_28 = 320'h0;
    parameter [319:0] INITVAL_29 = 320'h0;
    parameter [319:0] INITVAL_2A = 320'h0;
    parameter [319:0] INITVAL_2B = 320'h0;
    parameter [319:0] INITVAL_2C = 320'h0;
    parameter [319:0] INITVAL_2D = 320'h0;
    parameter [319:0] INITVAL_2E = 320'h0;
    parameter [319:0] INITVAL_2F = 320'h0;
    parameter [319:0] INITVAL_30 = 320'h0;
    parameter [319:0] INITVAL_31 = 320'h0;
    parameter [319:0] INITVAL_32 = 320'h0;
    parameter [319:0] INITVAL_33 = 320'h0;
    parameter [319:0] INITVAL_34 = 320'h0;
    parameter [319:0] INITVAL_35 = 320'h0;
    parameter [319:0] INITVAL_36 = 320'h0;
    parameter [319:0] INITVAL_37 = 320'h0;
    parameter [319:0] INITVAL_38 = 320'h0;
    parameter [319:0] INITVAL_39 = 320'h0;
    parameter [319:0] INITVAL_3A = 320'h0;
    parameter [319:0] INITVAL_3B = 320'h0;
    parameter [319:0] INITVAL_3C = 320'h0;
    parameter [319:0] INITVAL_3D = 320'h0;
    parameter [319:0] INITVAL_3E = 320'h0;
    parameter [319:0] INITVAL_3F = 320'h0;

    localparam [20479:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37,
        INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E,
        INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25,
        INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
        INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13,
        INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
        INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00};
    localparam WIDE = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;

    generate
        if (WIDE && REGMODE_A != REGMODE_B) $error("DP16KD: no model of an output register for a part of a word");
        if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") $error("DP16KD: no model of its chip selects");
        if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $error("DP16KD: no model of inverted clocks");
    endgenerate

    reg [17:0] words [0:1023];
    integer i;
    initial for (i = 0; i < 1024; i = i + 1) words[i] = INIT[20 * i +: 18];

    // Two neighbouring words at a time. A byte has 9 bits; numbers of 1, 2 and 4 bits leave its top bit unused.
    function [35:0] pick(input integer width, input [13:0] address, input [35:0] pair);
        reg [17:0] word;
        reg [8:0] byte_;
        begin
            word = address[4] ? pair[35:18] : pair[17:0];
            byte_ = address[3] ? word[17:9] : word[8:0];
            case (width)
                36: pick = pair;
                18: pick = word;
                9: pick = byte_;
                4: pick = byte_[4 * address[2] +: 4];
                2: pick = byte_[2 * address[2:1] +: 2];
                default: pick = byte_[address[2:0]];
            endcase
        end
    endfunction

    function [35:0] merge(input integer width, input [13:0] address, input [35:0] pair, input [35:0] data);
        integer byte_;
        begin
            merge = pair;
            byte_ = 18 * address[4] + 9 * address[3];
            case (width)
                36: for (byte_ = 0; byte_ < 4; byte_ = byte_ + 1)
                    if (address[byte_]) merge[9 * byte_ +: 9] = data[9 * byte_ +: 9];
                18: for (byte_ = 0; byte_ < 2; byte_ = byte_ + 1)
                    if (address[byte_]) merge[18 * address[4] + 9 * byte_ +: 9] = data[9 * byte_ +: 9];
                9: merge[byte_ +: 9] = data[8:0];
                4: merge[byte_ + 4 * address[2] +: 4] = data[3:0];
                2: merge[byte_ + 2 * address[2:1] +: 2] = data[1:0];
                default: merge[byte_ + address[2:0]] = data[0];
            endcase
        end
    endfunction

    wire [13:0] a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] di_a = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0};
    wire [17:0] di_b = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0};
    wire [35:0] old_a = {words[{a[13:5], 1'b1}], words[{a[13:5], 1'b0}]};
    wire [35:0] old_b = {words[{b[13:5], 1'b1}], words[{b[13:5], 1'b0}]};
    wire [35:0] new_a = merge(DATA_WIDTH_A, a, old_a, {di_b, di_a});
    wire [35:0] new_b = merge(DATA_WIDTH_B, b, old_b, di_b);
    wire [35:0] read_a, read_b;

    always @(posedge CLKA) if (CEA && WEA) begin
        words[{a[13:5], 1'b1}] <= new_a[35:18];
        words[{a[13:5], 1'b0}] <= new_a[17:0];
    end
    always @(posedge CLKB) if (CEB && WEB && !WIDE) begin
        words[{b[13:5], 1'b1}] <= new_b[35:18];
        words[{b[13:5], 1'b0}] <= new_b[17:0];
    end

    DP16KD_OUTPUT #(WRITEMODE_A, RESETMODE, REGMODE_A) output_a (
        CLKA, CEA, OCEA, WEA, RSTA, pick(DATA_WIDTH_A, a, old_a), pick(DATA_WIDTH_A, a, new_a), read_a
    );
    DP16KD_OUTPUT #(WRITEMODE_B, RESETMODE, REGMODE_B) output_b (
        CLKB, CEB, OCEB, WEB, RSTB, pick(DATA_WIDTH_B, b, old_b), pick(DATA_WIDTH_B, b, new_b), read_b
    );

    wire [17:0] do_a = DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
    wire [17:0] do_b = DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0} = do_a;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0} = do_b;
endmodule

// What a port reads: held while disabled, and what a write does to it as its mode says; and the register behind it.
module DP16KD_OUTPUT #(
    parameter WRITEMODE = "NORMAL", RESETMODE = "SYNC", REGMODE = "NOREG"
) (
    input CLK, CE, OCE, WE, RST,
    input [35:0] old_data, new_data,
    output [35:0] q
);
    reg [35:0] read = 0, registered = 0;
    wire moves = CE && (!WE || WRITEMODE != "NORMAL");
    wire [35:0] d = WE && WRITEMODE == "WRITETHROUGH" ? new_data : old_data;
    generate
        if (RESETMODE == "ASYNC") begin
            always @(posedge CLK or posedge RST) if (RST) read <= 0; else if (moves) read <= d;
            always @(posedge CLK or posedge RST) if (RST) registered <= 0; else if (OCE) registered <= read;
        end else begin
            always @(posedge CLK) if (RST) read <= 0; else if (moves) read <= d;
            always @(posedge CLK) if (OCE) registered <= RST ? 0 : read;
        end
    endgenerate
    assign q = REGMODE == "OUTREG" ? registered : read;
endmodule
