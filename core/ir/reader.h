#pragma once
// The grammar of `.eir` text, one part at a time: numbers, types, tags, one statement. What it means is parse.cpp's.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ir/attr.h"
#include "core/ir/lexer.h"
#include "core/ir/shape.h"

namespace espalier {

/// What is wrong, and where. Thrown inside the parser only, which goes on at the next line.
struct Fault {
  Token at;
  std::string what;
};

/// One line of a graph's body, as written.
struct Statement {
  std::vector<Token> results, operands, type_places;
  std::vector<TensorType> types;
  std::vector<std::pair<Token, AttrValue>> attrs;
  Token op, label;
  std::vector<double> numbers;
  std::string path;
  bool frozen = false, recompute = false;
  std::optional<Token> grad_of;
};

/// Reads front to back; every function throws Fault on text that does not fit.
class Reader {
 public:
  explicit Reader(std::string_view text) : tokens_(lex(text)) {}

  /// The next token. Within a line (see `enter_line`), a token of a later line reads as kEnd.
  const Token& peek();
  Token take();
  /// The token last taken.
  const Token& last() const { return tokens_[at_ - 1]; }
  bool at_punct(std::string_view text) { return peek().is(TokenKind::kPunct, text); }
  bool accept(std::string_view punct);
  Token expect(TokenKind kind, std::string_view wanted);
  void expect(std::string_view punct);
  void expect_line_end();
  /// What follows must stand in the line of the next token, until `leave_line`.
  void enter_line() { line_ = tokens_[at_].line; }
  void leave_line() { line_ = 0; }
  /// To the first token behind line `line`.
  void skip_line(uint32_t line);
  void skip_to_word(std::string_view word);

  [[noreturn]] void unexpected(std::string_view wanted);

  /// int64_t or double.
  AttrValue number();
  double real_number();
  AttrValue attr_value();
  TensorType type();
  /// Block path, then tags.
  void tags(Statement& s);
  /// Names before the `=`.
  std::vector<Token> results();
  /// The rest of the line; without types where they are not `typed`.
  Statement statement(std::vector<Token> results, bool typed = true);

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  uint32_t line_ = 0;
  Token end_of_line_;
};

}  // namespace espalier
