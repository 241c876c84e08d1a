#pragma once
// A `.eir` test file: the command in its first line is run in-process on each section of it, and the section says what
// must come out.
//
//   // RUN: espalier opt --passes=cse        also: --accepts=a,b|all|none  --disable-pass=a,b  --fold-scopes=N
//   // RUN: espalier check --grad --print    the graph with its gradients as outputs
//   // -----                                 next section
//   // ERROR: regex                          the line it stands on is refused; ERROR@+1, ERROR@-1: a line nearby.
//                                            Matched against `column: message`. No other error may occur
//   // EXPECTED                              graphs follow to which the results must be structurally equal
//   // CHECK…                                filecheck.h

#include <string>
#include <string_view>

namespace espalier::testing {

/// "" when every section is as it says; else one paragraph per section that is not.
std::string run_text_test(std::string_view text);

}  // namespace espalier::testing
