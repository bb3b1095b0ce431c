// An instance of $name, to copy into a design.

wire i_valid, i_ready, i_last;
wire [$i_top:0] i_data;
wire o_valid, o_ready, o_last;
wire [$o_top:0] o_data;

$name $name (
  .clk(clk),
  .rst(rst),
  .i_valid(i_valid),  // samples
  .i_ready(i_ready),
  .i_data(i_data),
  .i_last(i_last),    // the last time step of a sequence
  .o_valid(o_valid),  // results
  .o_ready(o_ready),
  .o_data(o_data),
  .o_last(o_last)$w_pins
);
