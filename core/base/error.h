#pragma once
// The four kinds of error, and the collector that reports every user error of a command at once.

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

/// Base of everything that espalier throws.
///
/// The text begins with its place in brackets or as `file:line:column:`, is lower case, and has no full stop.
/// `add_context` is called on the way up ("while reading …") and is printed after the message.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message), text_(message) {}
  const char* what() const noexcept override { return text_.c_str(); }
  void add_context(std::string_view trail);
  /// What the process exits with when the error reaches `main`.
  virtual int exit_code() const { return 1; }

 private:
  std::string text_;
};

/// The user's input is at fault (file, config, plan, command line): says what, where, what to do next. Exit code 2.
class UserError : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return 2; }
};

/// A graph is malformed: an op's contract, a type, an order. Text names the op and block path.
class VerifyError : public Error {
 public:
  using Error::Error;
};

/// No kernel or no loader accepts something; the text lists every refusal.
class UnsupportedError : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return 2; }
};

/// Our own bug. Always carries a source location.
class InternalError : public Error {
 public:
  using Error::Error;
};

/// Collects the user's errors of one input so that all are reported together.
///
/// `throw_if_any` throws one UserError whose text is one line per error, in the order of collection.
class ErrorList {
 public:
  void add(std::string message) { messages_.push_back(std::move(message)); }
  bool empty() const { return messages_.empty(); }
  const std::vector<std::string>& messages() const { return messages_; }
  void throw_if_any() const;

 private:
  std::vector<std::string> messages_;
};

[[noreturn]] void internal_error(std::string_view message, const char* file = __builtin_FILE(), int line = __builtin_LINE());

/// For programmer errors only: user input never reaches one. Active in every build.
#define ESP_CHECK(condition)                                                   \
  do {                                                                         \
    if (!(condition)) ::espalier::internal_error("check failed: " #condition); \
  } while (false)

}  // namespace espalier
