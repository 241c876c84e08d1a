// emoji_cache: draws an emoji font's pictures and writes them, captioned and encoded, as a cache that espalier trains on.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/data/codec.h"
#include "examples/emoji/make_cache.h"
#include "examples/emoji/picture.h"

namespace {

int run(int argc, char** argv) {
  using namespace espalier;
  emoji::CacheRequest request;
  std::string groups = join(request.groups, ","), dtype = "f16";
  std::filesystem::path sheet;
  CLI::App app{"Draws an emoji font's pictures and writes them as a cache for `espalier distill`."};
  app.add_option("-o,--out", request.out, "folder of the cache; must not exist yet")->required();
  app.add_option("--groups", groups, "Unicode's groups, separated by commas (default: " + groups + ")");
  app.add_option("--size", request.size_px, "width and height of the pictures, in pixels (default: 32)")
      ->check(CLI::Range(4, 128));
  app.add_option("--codec", request.codec, "haar or identity (default: haar)");
  app.add_option("--dtype", dtype, "f32, f16 or bf16 (default: f16)");
  app.add_option("--font", request.font, "a font with colour bitmaps (default: Debian's fonts-noto-color-emoji)");
  app.add_option("--list", request.list, "Unicode's emoji-test.txt (default: Debian's unicode-data)");
  app.add_option("--sheet", sheet, "also write all pictures, as the cache holds them, into one PPM file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  request.groups = split(groups, ',');
  const std::optional<DType> parsed = parse_dtype(dtype);
  if (!parsed || (*parsed != DType::kF32 && *parsed != DType::kF16 && *parsed != DType::kBF16))
    throw UserError("--dtype: '" + printable(dtype) + "' is none of f32, f16, bf16");
  request.dtype = *parsed;
  const emoji::CacheSummary summary = emoji::make_cache(request);
  for (const std::string& line : summary.lines) std::printf("%s\n", line.c_str());
  if (!sheet.empty()) emoji::write_sheet(sheet, summary.pictures, 32, 1);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const espalier::Error& error) {
    std::fprintf(stderr, "emoji_cache: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "emoji_cache: %s\n", error.what());
    return 1;
  }
}
