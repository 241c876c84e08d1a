#include "examples/emoji/make_cache.h"

#include <map>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/data/cache_writer.h"
#include "core/data/codec.h"
#include "examples/emoji/caption_encoder.h"
#include "examples/emoji/emoji_font.h"
#include "examples/emoji/emoji_list.h"
#include "examples/emoji/picture.h"

namespace espalier::emoji {
namespace {

// SDXL's size conditioning: original height and width, crop top and left, target height and width.
exec::FloatTensor size_conditioning(int size_px) {
  const auto size = static_cast<float>(size_px);
  return {Shape{6}, {size, size, 0, 0, size, size}};
}

exec::FloatTensor without_batch(exec::FloatTensor tensor) {
  tensor.shape = Shape{tensor.shape[1], tensor.shape[2], tensor.shape[3]};
  return tensor;
}

exec::FloatTensor latents_of(const data::Cache& cache, size_t row) {
  exec::FloatTensor latents = cache.latents(row);
  latents.shape = Shape{1, latents.shape[0], latents.shape[1], latents.shape[2]};
  return latents;
}

}  // namespace

CacheSummary make_cache(const CacheRequest& request) {
  const std::vector<Emoji> list = select_groups(read_emoji_list(request.list), request.groups);
  const EmojiFont font(request.font);
  const auto codec = data::make_codec(request.codec);
  data::CacheInfo info;
  info.codec = codec->name();
  info.channels = codec->channels();
  info.tokens = kTokens;
  info.embedding = kEmbedding;
  info.pooled = kPooled;
  info.source = font.name() + " (SIL Open Font License 1.1), captions from Unicode's emoji-test.txt (Unicode License), groups: " +
                join(request.groups, ", ");
  data::CacheWriter writer(request.out, info, request.dtype);
  std::map<std::string, int64_t> kept;
  std::vector<std::string> dropped;
  Progress progress("drawing", list.size());
  for (const Emoji& emoji : list) {
    progress.add(1, emoji.caption);
    const std::optional<uint32_t> glyph = font.glyph_of(emoji.code_points);
    if (!glyph) {
      dropped.push_back(emoji.id + " " + emoji.caption);
      continue;
    }
    data::Conditioning conditioning = encode_caption(emoji.group, emoji.subgroup, emoji.caption);
    conditioning.time_ids = size_conditioning(request.size_px);
    const exec::FloatTensor picture = to_picture(font.draw(*glyph), request.size_px);
    writer.add(emoji.id, emoji.caption, without_batch(codec->encode(picture)), conditioning);
    ++kept[emoji.group];
  }
  writer.finish(encode_nothing());

  CacheSummary summary;
  const data::Cache cache(request.out);
  for (size_t row = 0; row < cache.rows().size(); ++row) summary.pictures.push_back(codec->decode(latents_of(cache, row)));
  summary.lines.push_back(std::to_string(cache.rows().size()) + " pictures from " + font.name() + " in " + request.out.string());
  for (const auto& [group, count] : kept) summary.lines.push_back("  " + std::to_string(count) + "  " + group);
  if (!dropped.empty())
    summary.lines.push_back(std::to_string(dropped.size()) +
                            " dropped, which the font does not draw as one glyph: " + join(dropped, ", "));
  return summary;
}

}  // namespace espalier::emoji
