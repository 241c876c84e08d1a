#pragma once
// Workers by a command line of the user's: `nice {command}`, `ssh node{slot} {remote}`.

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace espalier::sweep {

/// What stands for what in a template:
///
///   {command}  the worker's command line, quoted for /bin/sh
///   {remote}   `cd CWD && exec COMMAND` as one quoted word, for ssh and its like
///   {slot}     0 to jobs - 1; no two workers at once have the same
///   {id}       the trial
///   {cwd}      the folder in which the sweep was started, quoted
///
/// Faults: neither {command} nor {remote}; a word in braces that is nearly one of these; more than one line.
void check_template(const std::string& text, ErrorList& errors);

/// The words that start `worker` by a checked template: /bin/sh -c LINE.
///
/// A line that is one command is exec'd: it is the child itself then, and dies with the controller. Of any other the shell is
/// the child. It waits for its command when it is asked to stop; when it is killed with the controller, the command goes on.
std::vector<std::string> by_template(const std::string& text, const std::vector<std::string>& worker, int64_t slot,
                                     const std::string& id, const std::filesystem::path& cwd);

}  // namespace espalier::sweep
