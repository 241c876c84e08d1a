#include "core/report/kept_pictures.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/text.h"

namespace espalier::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFolder = "pictures";
constexpr const char* kList = "captions.json";

std::string file_of(const std::string& slug, size_t k) { return fmt::format("{}-{}.png", slug, k); }

}  // namespace

std::string slug_of(const std::string& column) {
  if (column == "the data") return "data";
  std::string slug;
  for (const char c : column) {
    const bool upper = c >= 'A' && c <= 'Z', kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (upper || kept)
      slug += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug;
}

void keep_pictures(const PictureFacts& pictures, const fs::path& run) {
  Json columns = Json::array();
  for (const PictureColumn& column : pictures.columns)
    columns.push_back({{"name", column.name}, {"files", slug_of(column.name)}, {"fault", column.fault}});
  const Json list{{"why_none", pictures.why_none}, {"rows", pictures.rows},         {"settings", pictures.settings},
                  {"side_px", pictures.side_px},   {"captions", pictures.captions}, {"columns", std::move(columns)}};
  fs::remove_all(run / kFolder);
  AtomicFolder made(run / kFolder);
  for (const PictureColumn& column : pictures.columns)
    for (size_t k = 0; k < column.pngs.size(); ++k) write_text(made.path() / file_of(slug_of(column.name), k), column.pngs[k]);
  write_text(made.path() / kList, list.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  made.publish();
}

std::optional<PictureFacts> read_kept_pictures(const fs::path& run) {
  const fs::path list = run / kFolder / kList;
  if (!fs::is_regular_file(list)) return std::nullopt;
  PictureFacts pictures;
  try {
    const Json json = Json::parse(read_text(list));
    pictures.why_none = json.at("why_none").get<std::string>();
    pictures.rows = json.at("rows").get<std::string>();
    pictures.settings = json.at("settings").get<std::string>();
    pictures.side_px = json.at("side_px").get<int64_t>();
    pictures.captions = json.at("captions").get<std::vector<std::string>>();
    for (const Json& each : json.at("columns")) {
      PictureColumn column{each.at("name").get<std::string>(), each.at("fault").get<std::string>(), {}};
      // The name of a file is of this program's making; one with a slash is not.
      const auto slug = each.at("files").get<std::string>();
      if (slug != slug_of(column.name)) throw UserError("[" + list.string() + "] names files that no run has");
      if (column.fault.empty() && pictures.why_none.empty())
        for (size_t k = 0; k < pictures.captions.size(); ++k) column.pngs.push_back(read_text(run / kFolder / file_of(slug, k)));
      pictures.columns.push_back(std::move(column));
    }
  } catch (const nlohmann::json::exception& error) {
    throw UserError("[" + list.string() + "] is no list of pictures: " + printable(error.what(), 200));
  }
  return pictures;
}

}  // namespace espalier::report
