#pragma once
// Captions to token vectors without any learned weights: the same text gives the same vectors on every machine.
//
// Tokens: the group, the subgroup, then each word of the caption (lower case, letters and digits), then padding, kTokens in all.
// A word's vector is the sum, in equal parts, of a normal random vector named after the word and of those named after each run of
// three characters of "<word>", so that "smile" and "smiling" are nearer than "smile" and "tractor"; groups and padding have one
// named vector each. Every token vector is scaled to a root mean square of 1, and half a named vector of its place is added. The
// pooled vector is the sum of the words' vectors and half the group's and subgroup's, drawn anew at its own width, scaled to a
// root mean square of 1. The empty caption has padding only, and a pooled vector of zeros.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/cache.h"

namespace espalier::emoji {

inline constexpr int64_t kTokens = 16, kEmbedding = 64, kPooled = 128;

/// Words as the encoder sees them.
std::vector<std::string> words_of(std::string_view caption);

/// Shapes: encoder_hidden_states [16,64], text_embeds [128]; no time_ids.
/// Errors: UserError for a caption of more words than kTokens leaves room for.
data::Conditioning encode_caption(std::string_view group, std::string_view subgroup, std::string_view caption);

/// What a sample without a caption is conditioned on.
data::Conditioning encode_nothing();

}  // namespace espalier::emoji
