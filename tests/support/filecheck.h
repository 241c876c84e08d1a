#pragma once
// Checks text against directives that stand in comments, with the meaning that LLVM's FileCheck gives them:
//
//   // CHECK: p          p matches somewhere behind the last match
//   // CHECK-NEXT: p     … on the line after it          // CHECK-SAME: p   … on its line, behind it
//   // CHECK-NOT: p      no match between the matches before and after this line (or the end)
//   // CHECK-DAG: p      a run of these matches in any order, without overlap
//   // CHECK-LABEL: p    cuts text and directives into blocks, so that one failure does not move the others
//
// A pattern is literal text; {{regex}} is a regular expression, [[NAME:regex]] also captures, [[NAME]] is what was
// captured. Runs of blanks count as one blank. A match lies within one line.

#include <string>
#include <string_view>

namespace espalier::testing {

/// "" when `output` satisfies every directive in `checks`; else what failed, with the place in `checks` (counted from
/// `first_line`) and the output where the search began. A directive that does not exist, and no directive at all, fail.
std::string filecheck(std::string_view checks, std::string_view output, size_t first_line = 1);

/// Whether `text` holds a directive.
bool has_directives(std::string_view text);

}  // namespace espalier::testing
