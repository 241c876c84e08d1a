#pragma once
// Words of `.eir` text with their places. Comments run from `//` to the end of the line.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

enum class TokenKind : uint8_t {
  kValue,   // %name; text is the name
  kAt,      // @word or @"anything"; text is what follows the @
  kTag,     // !word; text is the word
  kWord,    // identifier
  kNumber,  // text as written
  kString,  // "…"; text has its escapes resolved
  kPunct,   // one of ( ) [ ] { } , : = or ->
  kBad,     // text says what is wrong
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  uint32_t line = 1, column = 1;  // from 1; columns count bytes
  uint32_t end_column = 1;        // just behind the token
  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
};

/// All tokens of `text`, a kEnd last. Never fails: what is no token becomes kBad, and reading goes on behind it.
std::vector<Token> lex(std::string_view text);

/// How a token is called in a message: "'%x'", "the end of the file".
std::string describe(const Token& token);

}  // namespace espalier
