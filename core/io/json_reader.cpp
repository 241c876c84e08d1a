#include "core/io/json_reader.h"

#include "core/base/text.h"

// The grammar is a state (`expect_`) and a stack of open containers, one bit each: input cannot make the program recurse.
// Text without escapes is handed out as a view of the input, so a header of 200,000 names is read without copying.

namespace espalier::io {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& text, unsigned code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 63));
    text += static_cast<char>(0x80 | (code & 63));
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 63));
    text += static_cast<char>(0x80 | (code >> 6 & 63));
    text += static_cast<char>(0x80 | (code & 63));
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, int max_depth) : input_(text), max_depth_(max_depth) {}

void JsonReader::fail(std::string what, uint64_t at, JsonFault::Kind kind) const { throw JsonFault{kind, at, std::move(what)}; }

std::string JsonReader::found() const {
  if (at_ >= input_.size()) return "the end";
  return "'" + printable(input_.substr(at_, 1)) + "'";
}

void JsonReader::skip_space() {
  while (at_ < input_.size() && (input_[at_] == ' ' || input_[at_] == '\n' || input_[at_] == '\t' || input_[at_] == '\r')) ++at_;
}

JsonReader::Event JsonReader::done(Event event) {
  expect_ = stack_.empty() ? Expect::kNothing : Expect::kCommaOrEnd;
  return last_ = event;
}

JsonReader::Event JsonReader::open(bool object) {
  if (static_cast<int>(stack_.size()) >= max_depth_)
    fail("nested deeper than " + std::to_string(max_depth_) + " levels", at_, JsonFault::Kind::kDepth);
  stack_.push_back(object);
  ++at_;
  expect_ = object ? Expect::kFirstMember : Expect::kFirstElement;
  return last_ = object ? Event::kBeginObject : Event::kBeginArray;
}

JsonReader::Event JsonReader::close() {
  const bool object = stack_.back();
  stack_.pop_back();
  ++at_;
  return done(object ? Event::kEndObject : Event::kEndArray);
}

JsonReader::Event JsonReader::word(std::string_view expected, Event event) {
  if (input_.substr(at_, expected.size()) != expected) fail("expected a value, found " + found(), at_);
  at_ += expected.size();
  return done(event);
}

JsonReader::Event JsonReader::value() {
  if (at_ >= input_.size()) fail("expected a value, found the end", at_);
  const char c = input_[at_];
  if (c == '{') return open(true);
  if (c == '[') return open(false);
  if (c == 't') return word("true", Event::kTrue);
  if (c == 'f') return word("false", Event::kFalse);
  if (c == 'n') return word("null", Event::kNull);
  if (c == '"') {
    read_string();
    return done(Event::kString);
  }
  if (c == '-' || is_digit(c)) {
    read_number();
    return done(Event::kNumber);
  }
  if (at_ == 0 && input_.substr(0, 3) == "\xEF\xBB\xBF")
    fail("begins with a byte-order mark; save it as UTF-8 without one", 0, JsonFault::Kind::kUtf8);
  fail("expected a value, found " + found(), at_);
}

JsonReader::Event JsonReader::key() {
  if (at_ >= input_.size() || input_[at_] != '"') fail("expected a key in quotes, found " + found(), at_);
  read_string();
  skip_space();
  if (at_ >= input_.size() || input_[at_] != ':') fail("expected ':' after a key, found " + found(), at_);
  ++at_;
  expect_ = Expect::kValue;
  return last_ = Event::kKey;
}

JsonReader::Event JsonReader::next() {
  skip_space();
  offset_ = at_;
  const char c = at_ < input_.size() ? input_[at_] : '\0';
  switch (expect_) {
    case Expect::kNothing:
      if (at_ < input_.size()) fail("expected nothing after the value, found " + found(), at_);
      return last_ = Event::kEnd;
    case Expect::kFirstMember:
      return c == '}' ? close() : key();
    case Expect::kFirstElement:
      return c == ']' ? close() : value();
    case Expect::kValue:
      return value();
    case Expect::kKey:
      return key();
    case Expect::kCommaOrEnd:
      break;
  }
  const bool object = stack_.back();
  if (at_ < input_.size() && c == (object ? '}' : ']')) return close();
  if (c != ',') fail(std::string("expected ',' or '") + (object ? '}' : ']') + "', found " + found(), at_);
  ++at_;
  skip_space();
  offset_ = at_;
  return object ? key() : value();
}

void JsonReader::skip() {
  if (last_ != Event::kBeginObject && last_ != Event::kBeginArray) return;
  const size_t outside = stack_.size() - 1;
  while (stack_.size() > outside) next();
}

void JsonReader::read_string() {
  const uint64_t begin = ++at_;
  bool plain = true;
  while (true) {
    if (at_ >= input_.size()) fail("a string has no end", begin - 1);
    const auto c = static_cast<unsigned char>(input_[at_]);
    if (c == '"') break;
    if (c < 0x20) fail("a string holds the control character " + found() + "; write it as an escape", at_);
    if (c == '\\') {
      if (plain) decoded_.assign(input_.substr(begin, at_ - begin));
      plain = false;
      read_escape();
      continue;
    }
    const uint64_t from = at_;
    if (c < 0x80)
      ++at_;
    else
      check_utf8();
    if (!plain) decoded_.append(input_.substr(from, at_ - from));
  }
  text_ = plain ? input_.substr(begin, at_ - begin) : std::string_view(decoded_);
  ++at_;
}

unsigned JsonReader::read_hex4() {
  unsigned code = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = at_ < input_.size() ? input_[at_] : '\0';
    const int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) fail("expected four hex digits after \\u, found " + found(), at_);
    code = code << 4 | static_cast<unsigned>(digit);
    ++at_;
  }
  return code;
}

void JsonReader::read_escape() {
  const uint64_t begin = at_++;
  const char c = at_ < input_.size() ? input_[at_] : '\0';
  static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  if (const size_t at = kEscapes.find(c); at != std::string_view::npos && c != '\0') {
    decoded_ += kMeanings[at];
    ++at_;
    return;
  }
  if (c != 'u') fail("unknown escape \\" + (at_ < input_.size() ? printable(input_.substr(at_, 1)) : ""), begin);
  ++at_;
  unsigned code = read_hex4();
  if (code >= 0xdc00 && code < 0xe000) fail("a lone surrogate in an escape", begin, JsonFault::Kind::kUtf8);
  if (code >= 0xd800 && code < 0xdc00) {
    if (input_.substr(at_, 2) != "\\u") fail("a lone surrogate in an escape", begin, JsonFault::Kind::kUtf8);
    at_ += 2;
    const unsigned low = read_hex4();
    if (low < 0xdc00 || low >= 0xe000) fail("a lone surrogate in an escape", begin, JsonFault::Kind::kUtf8);
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(decoded_, code);
}

void JsonReader::read_number() {
  const uint64_t begin = at_;
  const auto digits = [&] {
    if (at_ >= input_.size() || !is_digit(input_[at_])) fail("expected a digit, found " + found(), at_);
    while (at_ < input_.size() && is_digit(input_[at_])) ++at_;
  };
  if (input_[at_] == '-') ++at_;
  if (at_ < input_.size() && input_[at_] == '0') {
    ++at_;
    if (at_ < input_.size() && is_digit(input_[at_])) fail("a number begins with 0", begin);
  } else {
    digits();
  }
  if (at_ < input_.size() && input_[at_] == '.') {
    ++at_;
    digits();
  }
  if (at_ < input_.size() && (input_[at_] == 'e' || input_[at_] == 'E')) {
    ++at_;
    if (at_ < input_.size() && (input_[at_] == '+' || input_[at_] == '-')) ++at_;
    digits();
  }
  number_ = input_.substr(begin, at_ - begin);
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
void JsonReader::check_utf8() {
  const auto byte = [&](uint64_t i) -> unsigned { return i < input_.size() ? static_cast<unsigned char>(input_[i]) : 0; };
  const unsigned first = byte(at_), second = byte(at_ + 1);
  const unsigned length = first >= 0xc2 && first < 0xe0   ? 2
                          : first >= 0xe0 && first < 0xf0 ? 3
                          : first >= 0xf0 && first < 0xf5 ? 4
                                                          : 0;
  bool valid = length != 0;
  for (unsigned i = 1; valid && i < length; ++i) valid = (byte(at_ + i) & 0xc0U) == 0x80U;
  if (first == 0xe0) valid = valid && second >= 0xa0;
  if (first == 0xed) valid = valid && second < 0xa0;
  if (first == 0xf0) valid = valid && second >= 0x90;
  if (first == 0xf4) valid = valid && second < 0x90;
  if (!valid) fail("a string is not UTF-8 at byte " + found(), at_, JsonFault::Kind::kUtf8);
  at_ += length;
}

}  // namespace espalier::io
