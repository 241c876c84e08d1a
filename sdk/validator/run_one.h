#pragma once
#include "sdk/validator/tests.h"

namespace espalier::validator {

/// Runs `body` in a process of its own with the limits of `options`; what it throws, or how it ends, becomes the row's outcome.
/// Its output goes to a file that `body` finds at fd 1; what it started is killed. `reply`: where given, receives what `body`
/// returns.
void run_one(const CheckOptions& options, TestRow& row, const std::function<std::string()>& body, std::string* reply = nullptr);

}  // namespace espalier::validator
