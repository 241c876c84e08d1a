#include "examples/emoji/caption_encoder.h"

#include <cmath>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/text.h"

namespace espalier::emoji {
namespace {

constexpr uint64_t kSeed = 0;
constexpr double kWholeWord = 1, kPieces = 1, kPlace = 0.5, kGroupInPool = 0.5;

using Vector = std::vector<double>;

// Adds `weight` times the normal random vector of that name.
void add(Vector& to, const std::string& name, double weight) {
  const uint64_t stream = rng::stream_of(name);
  for (size_t i = 0; i < to.size(); ++i) to[i] += weight * rng::normal(kSeed, stream, i);
}

void scale_to_unit(Vector& vector) {
  double squares = 0;
  for (const double value : vector) squares += value * value;
  const double root = std::sqrt(squares / static_cast<double>(vector.size()));
  for (double& value : vector) value /= root;
}

// A word by itself and by its pieces; `draw` names what the vector is for, so that tokens and pooled vectors are independent.
Vector word_vector(const std::string& word, size_t width, const std::string& draw) {
  Vector vector(width);
  add(vector, draw + " word " + word, kWholeWord);
  const std::string marked = "<" + word + ">";
  const size_t pieces = marked.size() - 2;
  for (size_t i = 0; i < pieces; ++i)
    add(vector, draw + " piece " + marked.substr(i, 3), kPieces / std::sqrt(static_cast<double>(pieces)));
  scale_to_unit(vector);
  return vector;
}

Vector named_vector(const std::string& name, size_t width, const std::string& draw) {
  Vector vector(width);
  add(vector, draw + " " + name, 1);
  scale_to_unit(vector);
  return vector;
}

void append(exec::FloatTensor& to, const Vector& vector) {
  for (const double value : vector) to.values.push_back(static_cast<float>(value));
}

// `tokens` with their places, filled up with padding.
exec::FloatTensor sequence(const std::vector<Vector>& tokens) {
  const Vector padding = named_vector("padding", kEmbedding, "token");
  exec::FloatTensor states{Shape{kTokens, kEmbedding}, {}};
  for (size_t i = 0; i < static_cast<size_t>(kTokens); ++i) {
    Vector token = i < tokens.size() ? tokens[i] : padding;
    const Vector place = named_vector("place " + std::to_string(i), kEmbedding, "token");
    for (size_t k = 0; k < token.size(); ++k) token[k] += kPlace * place[k];
    append(states, token);
  }
  return states;
}

}  // namespace

std::vector<std::string> words_of(std::string_view caption) {
  std::vector<std::string> words(1);
  for (const char c : caption) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte >= 0x80) {
      words.back() += c;  // letters beyond ASCII stay as their UTF-8
    } else if (byte >= 'A' && byte <= 'Z') {
      words.back() += static_cast<char>(byte - 'A' + 'a');
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

data::Conditioning encode_caption(std::string_view group, std::string_view subgroup, std::string_view caption) {
  const std::vector<std::string> words = words_of(caption);
  if (words.size() + 2 > static_cast<size_t>(kTokens))
    throw UserError("[caption] '" + printable(caption) + "' has " + std::to_string(words.size()) + " words; at most " +
                    std::to_string(kTokens - 2) + " fit");
  std::vector<Vector> tokens;
  Vector pooled(kPooled);
  for (const std::string& name : {"group " + std::string(group), "subgroup " + std::string(subgroup)}) {
    tokens.push_back(named_vector(name, kEmbedding, "token"));
    add(pooled, "pooled " + name, kGroupInPool);
  }
  for (const std::string& word : words) {
    tokens.push_back(word_vector(word, kEmbedding, "token"));
    const Vector wide = word_vector(word, kPooled, "pooled");
    for (size_t i = 0; i < pooled.size(); ++i) pooled[i] += wide[i];
  }
  scale_to_unit(pooled);
  data::Conditioning encoded{sequence(tokens), {Shape{kPooled}, {}}, {}};
  append(encoded.text_embeds, pooled);
  return encoded;
}

data::Conditioning encode_nothing() { return {sequence({}), {Shape{kPooled}, std::vector<float>(kPooled)}, {}}; }

}  // namespace espalier::emoji
