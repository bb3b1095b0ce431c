// Feeds $name with samples, with pauses at both ends, and compares every result with the golden model.
// Needs the files ${name}_*.hex in the working folder. The last line of its output begins with PASS or FAIL.
//
//   $$ iverilog -g2005 -o tb ${name}_tb.v $name.v && vvp tb
//   $$ verilator --binary --timing -CFLAGS -fcoroutines -Wno-fatal --top-module ${name}_tb ${name}_tb.v $name.v && obj_dir/V${name}_tb

`default_nettype none

module ${name}_tb;
  localparam SAMPLES = $samples, RESULTS = $results, PATIENCE = 1000000;

  reg clk = 1'b0, rst = 1'b1;
  always #5 clk = !clk;
  reg [3:0] resets = 4'hf;
  always @(posedge clk) {resets, rst} <= {1'b0, resets};

  reg [$i_last:0] samples [0:SAMPLES - 1];  // {last, data}
  reg [$o_last:0] results [0:RESULTS - 1];
  initial begin
    $$readmemh("${name}_samples.hex", samples, 0, SAMPLES - 1);
    $$readmemh("${name}_results.hex", results, 0, RESULTS - 1);
  end

  reg i_valid = 1'b0, i_last = 1'b0, o_ready = 1'b0;
  reg [$i_top:0] i_data = 0;
  wire i_ready, o_valid, o_last;
  wire [$o_top:0] o_data;
$w_wires
  $name dut (
    .clk(clk), .rst(rst),
    .i_valid(i_valid), .i_ready(i_ready), .i_data(i_data), .i_last(i_last),
    .o_valid(o_valid), .o_ready(o_ready), .o_data(o_data), .o_last(o_last)$w_pins
  );

  // Pauses: a shift register of pseudo-random bits.
  reg [15:0] noise = 16'h1;
  always @(posedge clk) noise <= {noise[14:0], noise[15] ^ noise[14] ^ noise[12] ^ noise[3]};

  integer sent = 0, taken = 0, errors = 0, quiet = 0;

  always @(posedge clk)
    if (!rst && loaded && (!i_valid || i_ready)) begin
      i_valid <= sent < SAMPLES && noise[1:0] != 0;
      if (sent < SAMPLES && noise[1:0] != 0) begin
        {i_last, i_data} <= samples[sent];
        sent <= sent + 1;
      end
    end

  always @(posedge clk) begin
    o_ready <= !rst && noise[5:4] != 0;
    quiet <= quiet + 1;
    if (i_valid && i_ready) quiet <= 0;
    if (o_valid && o_ready) begin
      quiet <= 0;
      taken <= taken + 1;
      if ({o_last, o_data} !== results[taken]) begin
        errors <= errors + 1;
        $$display("result %0d is %h, not %h", taken, {o_last, o_data}, results[taken]);
      end
    end
    if (taken == RESULTS) begin
      if (errors == 0) $$display("PASS: %0d results", taken);
      else $$display("FAIL: %0d of %0d results differ", errors, taken);
      $$finish;
    end else if (quiet == PATIENCE) begin
      $$display("FAIL: nothing moved for %0d cycles, after %0d results", quiet, taken);
      $$finish;
    end
  end
endmodule

`default_nettype wire
