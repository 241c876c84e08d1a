#include "core/ir/lexer.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/ir/print.h"

namespace espalier {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_identifier_char(char c) { return is_word_char(c) && c != '.' && c != '-'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    while (skip_blank()) {
      token_ = {TokenKind::kPunct, "", line_, column(), 0};
      read();
      token_.end_column = column();
      tokens_.push_back(std::move(token_));
    }
    tokens_.push_back({TokenKind::kEnd, "", line_, column(), column()});
    return std::move(tokens_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  uint32_t column() const { return static_cast<uint32_t>(at_ - line_start_ + 1); }

  /// False at the end of the text.
  bool skip_blank() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
        line_start_ = at_;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '/' && peek(1) == '/') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        return true;
      }
    }
    return false;
  }

  template <typename P>
  std::string take_while(P&& accepts) {
    const size_t begin = at_;
    while (at_ < text_.size() && accepts(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  void bad(std::string what) {
    token_.kind = TokenKind::kBad;
    token_.text = std::move(what);
  }

  void read() {
    const char c = peek();
    if (c == '%' || c == '!') {
      ++at_;
      token_.kind = c == '%' ? TokenKind::kValue : TokenKind::kTag;
      token_.text = c == '%' ? take_while(is_word_char) : take_while(is_identifier_char);
      if (token_.text.empty()) bad(c == '%' ? "'%' needs a name behind it" : "'!' needs a tag behind it");
    } else if (c == '@') {
      ++at_;
      if (peek() == '"') return read_string(TokenKind::kAt);
      token_.kind = TokenKind::kAt;
      token_.text = take_while(is_word_char);
      if (token_.text.empty()) bad("'@' needs a path or a name behind it");
    } else if (c == '"') {
      read_string(TokenKind::kString);
    } else if (c == '-' && peek(1) == '>') {
      at_ += 2;
      token_.text = "->";
    } else if (is_digit(c) || c == '-' || (c == '.' && is_digit(peek(1)))) {
      read_number();
    } else if (is_identifier_char(c)) {
      token_.kind = TokenKind::kWord;
      token_.text = take_while(is_identifier_char);
    } else if (std::string_view("()[]{},:=").find(c) != std::string_view::npos && c != '\0') {
      token_.text = std::string(1, c);
      ++at_;
    } else {
      // A whole UTF-8 character is one fault, not one per byte.
      const size_t begin = at_++;
      while ((static_cast<unsigned char>(peek()) & 0xc0) == 0x80) ++at_;
      bad("unexpected character '" + printable(text_.substr(begin, at_ - begin)) + "'");
    }
  }

  void read_number() {
    token_.kind = TokenKind::kNumber;
    const size_t begin = at_;
    if (peek() == '-') ++at_;
    if (text_.substr(at_, 3) == "inf") {
      at_ += 3;
    } else {
      take_while([](char c) { return is_digit(c) || c == '.'; });
      const size_t sign = peek(1) == '-' || peek(1) == '+' ? 2 : 1;
      if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign))) {
        at_ += sign;
        take_while(is_digit);
      }
    }
    token_.text = std::string(text_.substr(begin, at_ - begin));
    if (token_.text == "-") bad("unexpected character '-'");
  }

  void read_string(TokenKind kind) {
    token_.kind = kind;
    ++at_;
    while (peek() != '"') {
      if (at_ >= text_.size() || peek() == '\n') return bad("the string is not closed on its line");
      if (peek() != '\\') {
        token_.text += text_[at_++];
        continue;
      }
      const char escape = peek(1);
      at_ += 2;
      if (escape == 'n') {
        token_.text += '\n';
      } else if (escape == 't') {
        token_.text += '\t';
      } else if (escape == '"' || escape == '\\') {
        token_.text += escape;
      } else if (escape == 'x' && hex(peek()) >= 0 && hex(peek(1)) >= 0) {
        token_.text += static_cast<char>(hex(peek()) * 16 + hex(peek(1)));
        at_ += 2;
      } else {
        --at_;  // a line end behind the backslash still counts as one
        return bad("unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN");
      }
    }
    ++at_;
  }

  static int hex(char c) {
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  }

  std::string_view text_;
  size_t at_ = 0, line_start_ = 0;
  uint32_t line_ = 1;
  Token token_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view text) { return Lexer(text).run(); }

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kValue:
      return "'%" + token.text + "'";
    case TokenKind::kAt:
      return "'@" + printable(token.text) + "'";
    case TokenKind::kTag:
      return "'!" + token.text + "'";
    case TokenKind::kString:
      return print_string(printable(token.text));
    case TokenKind::kEnd:
      return "the end of the file";
    default:
      return "'" + printable(token.text) + "'";
  }
}

}  // namespace espalier
