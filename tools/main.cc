// The one binary: everything is in the libraries; this only starts it.
#include "tools/command.h"

int main(int argc, char** argv) { return kappa::tools::run_command_line(argc, argv); }
