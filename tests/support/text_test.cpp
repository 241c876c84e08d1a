#include "tests/support/text_test.h"

#include <algorithm>
#include <regex>
#include <sstream>
#include <vector>

#include "core/autodiff/check_gradient.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/hash.h"
#include "core/ir/parse.h"
#include "core/ir/print.h"
#include "core/ir/verify.h"
#include "core/ops/registry.h"
#include "core/passes/pipeline.h"
#include "tests/support/filecheck.h"

namespace espalier::testing {
namespace {

struct Command {
  bool gradient = false;  // check --grad --print
  std::vector<std::string> passes;
  passes::PipelineOptions options{.verify = true};
  PrintOptions print;
};

struct Expectation {
  size_t line = 0;
  std::string regex;
  bool met = false;
};

/// Reads the first line; an unknown word in it is a UserError.
Command command_of(const std::string& line) {
  std::istringstream words(line);
  std::string slashes, run, program, verb, word;
  words >> slashes >> run >> program >> verb;
  Command command;
  command.gradient = verb == "check";
  if (slashes != "//" || run != "RUN:" || program != "espalier" || (verb != "opt" && !command.gradient))
    throw UserError("line 1: expected '// RUN: espalier opt …' or '// RUN: espalier check --grad --print'");
  if (command.gradient && line.ends_with("check --grad --print")) {
    command.passes = {"dce", "canonicalise"};
    return command;
  }
  while (words >> word) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string name = word.substr(0, equals);
    const std::string value = equals < word.size() ? word.substr(equals + 1) : "";
    if (name == "--passes")
      command.passes = split(value, ',');
    else if (name == "--disable-pass")
      command.options.disabled = split(value, ',');
    else if (name == "--fold-scopes")
      command.print.fold_scopes = std::stoi(value);
    else if (name == "--recompute-above")
      command.options.context.recompute_above_bytes = std::stoull(value) << 20;
    else if (name == "--precision")
      command.options.context.compute = parse_dtype(value);
    else if (name == "--accepts")
      command.options.context.accepts = passes::accepts_named(split(value, ','));
    else
      throw UserError("line 1: unknown option " + word);
  }
  return command;
}

std::vector<Expectation> expectations_of(const std::string& text, size_t first_line) {
  static const std::regex kError(R"(//\s*ERROR(?:@([+-]\d+))?:\s*(.*)$)");
  std::vector<Expectation> found;
  for (const std::string& line : split(text, '\n')) {
    std::smatch match;
    if (std::regex_search(line, match, kError)) {
      const int offset = match[1].matched ? std::stoi(match[1].str()) : 0;
      found.push_back({static_cast<size_t>(static_cast<int>(first_line) + offset), match[2].str()});
    }
    ++first_line;
  }
  return found;
}

/// Compares `message` (lines `FILE:line:column: what`, a line that begins with a blank belongs to the one above).
std::string compare_errors(const std::string& message, std::vector<Expectation> expected) {
  std::vector<std::string> faults;
  for (const std::string& line : split(message, '\n'))
    if (!faults.empty() && line.substr(0, 1) == " ")
      faults.back() += "\n" + line;
    else
      faults.push_back(line);
  std::string wrong;
  static const std::regex kPlace(R"(^<text>:(\d+):([\s\S]*)$)");
  for (const std::string& fault : faults) {
    std::smatch match;
    const bool placed = std::regex_match(fault, match, kPlace);
    const size_t line = placed ? std::stoul(match[1].str()) : 0;
    const std::string what = placed ? match[2].str() : fault;
    bool met = false;
    for (Expectation& e : expected) {
      if (met || e.met || e.line != line || !std::regex_search(what, std::regex(e.regex))) continue;
      e.met = met = true;
    }
    if (!met) wrong += "unexpected error: " + fault + "\n";
  }
  for (const Expectation& e : expected)
    if (!e.met) wrong += "line " + std::to_string(e.line) + ": no error there matches '" + e.regex + "'\n";
  return wrong;
}

std::string run_section(const Command& command, const std::string& text, size_t first_line) {
  static const std::string kMark = "// EXPECTED\n";
  const size_t mark = text.find(kMark);
  const std::string before = text.substr(0, mark);
  // Blank lines in front keep the line numbers of messages those of the file.
  const std::string source = std::string(first_line - 1, '\n') + before;
  const std::vector<Expectation> errors = expectations_of(before, first_line);
  std::vector<Graph> results;
  try {
    const std::vector<const passes::Pass*> wanted = passes::find_passes(command.passes);
    for (const Graph& graph : parse_all(source, ops::registry())) {
      verify(graph);
      results.push_back(
          passes::run_passes(command.gradient ? autodiff::with_gradients(graph).graph : graph, wanted, command.options));
    }
  } catch (const Error& error) {
    return compare_errors(error.what(), errors);
  }
  if (!errors.empty()) return "line " + std::to_string(errors[0].line) + ": an error is expected, none occurs\n";
  std::string output, wrong;
  for (const Graph& graph : results) output += print(graph, command.print);
  if (mark != std::string::npos) {
    const size_t skipped = static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    const std::string wanted = std::string(first_line + skipped, '\n') + text.substr(mark + kMark.size());
    const std::vector<Graph> expected = parse_all(wanted, ops::registry());
    if (expected.size() != results.size())
      return std::to_string(results.size()) + " graphs, " + std::to_string(expected.size()) + " are expected\n";
    for (size_t i = 0; i < results.size(); ++i)
      if (const std::string what = structural_difference(results[i], expected[i]); !what.empty())
        wrong += "@" + results[i].name + " is not as EXPECTED: " + what + "\n" + print(results[i]);
  }
  if (has_directives(before)) {
    if (const std::string what = filecheck(before, output, first_line); !what.empty()) wrong += what + "\n";
  } else if (mark == std::string::npos) {
    wrong += "line " + std::to_string(first_line) + ": the section checks nothing\n";
  }
  return wrong;
}

}  // namespace

std::string run_text_test(std::string_view text) {
  std::string wrong;
  try {
    const std::vector<std::string> lines = split(text, '\n');
    const Command command = command_of(lines.front());
    std::string section;
    size_t first_line = 2;
    for (size_t i = 1; i <= lines.size(); ++i) {
      if (i < lines.size() && lines[i] != "// -----") {
        section += lines[i] + "\n";
        continue;
      }
      wrong += run_section(command, section, first_line);
      section.clear();
      first_line = i + 2;
    }
  } catch (const Error& error) {
    wrong += error.what();
  }
  return wrong;
}

}  // namespace espalier::testing
