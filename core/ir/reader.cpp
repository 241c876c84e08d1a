// While a line is entered, a token of a later line reads as its end: what is missing is then reported where it is missing.

#include "core/ir/reader.h"

#include <charconv>
#include <limits>

#include "core/base/text.h"

namespace espalier {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 48;

double as_real(const AttrValue& number) {
  return std::holds_alternative<double>(number) ? std::get<double>(number) : static_cast<double>(std::get<int64_t>(number));
}

}  // namespace

const Token& Reader::peek() {
  const Token& next = tokens_[at_];
  if (line_ == 0 || next.line == line_) return next;
  end_of_line_.line = line_;
  end_of_line_.column = tokens_[at_ - 1].end_column;
  return end_of_line_;
}

Token Reader::take() {
  Token token = peek();
  if (token.kind != TokenKind::kEnd) ++at_;
  return token;
}

bool Reader::accept(std::string_view punct) {
  if (!at_punct(punct)) return false;
  ++at_;
  return true;
}

void Reader::unexpected(std::string_view wanted) {
  const Token& token = peek();
  if (token.kind == TokenKind::kBad) throw Fault{token, token.text};
  const bool line_ends = line_ != 0 && token.kind == TokenKind::kEnd;
  throw Fault{token, "expected " + std::string(wanted) + ", found " + (line_ends ? "the end of the line" : describe(token))};
}

Token Reader::expect(TokenKind kind, std::string_view wanted) {
  if (peek().kind != kind) unexpected(wanted);
  return take();
}

void Reader::expect(std::string_view punct) {
  if (!accept(punct)) unexpected("'" + std::string(punct) + "'");
}

void Reader::expect_line_end() {
  if (peek().kind != TokenKind::kEnd) unexpected("the end of the line");
}

void Reader::skip_line(uint32_t line) {
  while (tokens_[at_].kind != TokenKind::kEnd && tokens_[at_].line <= line) ++at_;
}

void Reader::skip_to_word(std::string_view word) {
  while (tokens_[at_].kind != TokenKind::kEnd && !tokens_[at_].is(TokenKind::kWord, word)) ++at_;
}

AttrValue Reader::number() {
  const Token token = peek();
  const bool named = token.is(TokenKind::kWord, "inf") || token.is(TokenKind::kWord, "nan");
  if (token.kind != TokenKind::kNumber && !named) unexpected("a number");
  take();
  if (token.text == "inf" || token.text == "-inf") {
    const double inf = std::numeric_limits<double>::infinity();
    return token.text == "inf" ? inf : -inf;
  }
  if (named) return std::numeric_limits<double>::quiet_NaN();
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  int64_t whole = 0;
  // "-0" stays a real number: as a whole one it would lose its sign.
  if (auto read = std::from_chars(begin, end, whole); read.ec == std::errc() && read.ptr == end && token.text != "-0")
    return whole;
  double real = 0;
  if (auto read = std::from_chars(begin, end, real); read.ec == std::errc() && read.ptr == end) return real;
  throw Fault{token, describe(token) + " is not a number that a double can hold"};
}

double Reader::real_number() { return as_real(number()); }

AttrValue Reader::attr_value() {
  const Token& token = peek();
  if (token.kind == TokenKind::kString) return take().text;
  if (token.is(TokenKind::kWord, "true") || token.is(TokenKind::kWord, "false")) return take().text == "true";
  if (!accept("[")) return number();
  std::vector<AttrValue> items;
  while (!at_punct("]")) {
    if (!items.empty()) expect(",");
    items.push_back(number());
  }
  expect("]");
  std::vector<int64_t> whole;
  std::vector<double> real;
  for (const AttrValue& item : items) {
    if (const auto* i = std::get_if<int64_t>(&item)) whole.push_back(*i);
    real.push_back(as_real(item));
  }
  if (whole.size() == items.size()) return whole;
  return real;
}

TensorType Reader::type() {
  static const std::vector<std::string> kNames{"f32", "f16", "bf16", "f64", "i32", "i64", "u8", "bool"};
  const Token word = expect(TokenKind::kWord, "a type such as f32[2,64]");
  const std::optional<DType> dtype = parse_dtype(word.text);
  if (!dtype) throw Fault{word, "unknown element type " + describe(word) + did_you_mean(word.text, kNames)};
  expect("[");
  std::vector<int64_t> dims;
  int64_t elements = 1;
  while (!at_punct("]")) {
    if (!dims.empty()) expect(",");
    const Token at = peek();
    const AttrValue extent = number();
    const int64_t* whole = std::get_if<int64_t>(&extent);
    if (whole == nullptr || *whole < 1) throw Fault{at, "an extent is a whole number of at least 1, got " + describe(at)};
    if (*whole > kMaxElements / elements) throw Fault{at, "the shape holds more than 2^48 elements"};
    elements *= *whole;
    dims.push_back(*whole);
    if (dims.size() > Shape::kMaxRank) throw Fault{at, "a shape has at most 8 dimensions"};
  }
  expect("]");
  return {*dtype, Shape(std::move(dims))};
}

void Reader::tags(Statement& s) {
  if (peek().kind == TokenKind::kAt) s.path = take().text;
  while (peek().kind == TokenKind::kTag) {
    static const std::vector<std::string> kTags{"frozen", "grad", "recompute"};
    const Token tag = take();
    if (tag.text == "frozen") {
      s.frozen = true;
    } else if (tag.text == "recompute") {
      s.recompute = true;
    } else if (tag.text == "grad") {
      expect("=");
      s.grad_of = expect(TokenKind::kValue, "a value");
    } else {
      throw Fault{tag, "unknown tag " + describe(tag) + did_you_mean(tag.text, kTags)};
    }
  }
}

std::vector<Token> Reader::results() {
  std::vector<Token> names;
  do names.push_back(expect(TokenKind::kValue, "a value such as '%x', 'return' or '}'"));
  while (accept(","));
  return names;
}

Statement Reader::statement(std::vector<Token> results, bool typed) {
  Statement s;
  s.results = std::move(results);
  expect("=");
  s.op = expect(TokenKind::kWord, "an op");
  if (s.op.text == "param") {
    s.label = expect(TokenKind::kString, "the parameter's name in quotes");
  } else if (s.op.text == "constant") {
    expect("[");
    while (!at_punct("]")) {
      if (!s.numbers.empty()) expect(",");
      s.numbers.push_back(real_number());
    }
    expect("]");
  } else {
    while (peek().kind == TokenKind::kValue || peek().is(TokenKind::kWord, "none")) {
      s.operands.push_back(take());
      if (!accept(",")) break;
    }
    if (accept("{")) {
      do {
        const Token name = expect(TokenKind::kWord, "an attribute's name");
        expect("=");
        s.attrs.emplace_back(name, attr_value());
      } while (accept(","));
      expect("}");
    }
  }
  if (typed) {
    expect(":");
    do {
      s.type_places.push_back(peek());
      s.types.push_back(type());
    } while (accept(","));
  } else if (at_punct(":")) {
    throw Fault{peek(), "no types are written here: they follow from the model"};
  }
  tags(s);
  expect_line_end();
  return s;
}

}  // namespace espalier
