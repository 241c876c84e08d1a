// The page draws itself from the JSON that is embedded in it; text from files reaches the document as text nodes only.

#include "core/inspect/html.h"

#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/base/text.h"

namespace espalier::inspect {
namespace {

using Json = nlohmann::ordered_json;

Json block_json(const BlockSummary& block) {
  Json json = {{"path", block.path},
               {"name", block.name},
               {"kind", block.kind},
               {"detail", block.detail},
               {"parameters", block.parameters},
               {"tensors", block.tensors},
               {"flops", block.flops},
               {"bytes", block.weight_bytes}};
  json["children"] = Json::array();
  for (const BlockSummary& child : block.children) json["children"].push_back(block_json(child));
  return json;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::string escaped(std::string text) {
  replace_all(text, "&", "&amp;");
  replace_all(text, "<", "&lt;");
  return text;
}

}  // namespace

std::string to_html(const ModelSummary& summary, const std::string& title) {
  Json data;
  data["title"] = title;
  data["root"] = block_json(summary.root);
  data["resnets"] = summary.resnets;
  data["transformer_blocks"] = summary.transformer_blocks;
  data["size"] = {summary.height, summary.width};
  data["tokens"] = summary.tokens;
  data["dtype"] = summary.dtype.empty() ? "f16" : summary.dtype;
  data["structure"] = summary.structure_hash;
  data["loaders"] = Json::array();
  for (const model::LoaderVerdict& verdict : summary.loaders)
    data["loaders"].push_back(
        {{"loader", verdict.loader}, {"opens", verdict.opens}, {"as", verdict.as}, {"reason", verdict.reason}});
  std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  replace_all(text, "</", "<\\/");  // no text of the data ends the script element
  std::string page(kPageTemplate);
  replace_all(page, "@TITLE@", escaped(printable(title, 1000)));
  page.replace(page.find("@DATA@"), 6, text);
  return page;
}

void write_html(const ModelSummary& summary, const std::string& title, const std::filesystem::path& file) {
  write_text(file, to_html(summary, title));
}

}  // namespace espalier::inspect
