// Two renderings of a summary: the tree for people, JSON for programs.

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/terminal.h"
#include "core/base/text.h"
#include "core/inspect/summary.h"

namespace espalier::inspect {
namespace {

using terminal::Style;
using terminal::Table;

/// Whether two neighbours may share a line: nothing that the table shows tells them apart.
bool same_figures(const BlockSummary& a, const BlockSummary& b) {
  if (a.kind != b.kind || a.detail != b.detail || a.parameters != b.parameters || a.flops != b.flops) return false;
  if (a.children.size() != b.children.size()) return false;
  for (size_t i = 0; i < a.children.size(); ++i)
    if (!same_figures(a.children[i], b.children[i])) return false;
  return true;
}

std::string share(double part, double whole) { return whole > 0 ? fmt::format("{:.1f}%", 100 * part / whole) : ""; }

/// "resnets.0" and "resnets.2" → "resnets.0-2".
std::string range_name(const BlockSummary& first, const BlockSummary& last) {
  const size_t dot = last.name.rfind('.');
  return dot == std::string::npos ? first.name : first.name + "-" + last.name.substr(dot + 1);
}

void add_rows(const BlockSummary& parent, const ModelSummary& summary, const TreeOptions& options, int64_t multiple,
              size_t indent, Table& table) {
  const std::vector<BlockSummary>& blocks = parent.children;
  for (size_t i = 0; i < blocks.size();) {
    size_t end = i + 1;
    const bool collapsible = !options.expand && blocks[i].kind != "stage" && blocks[i].kind != "module";
    while (collapsible && end < blocks.size() && same_figures(blocks[i], blocks[end])) ++end;
    const BlockSummary& block = blocks[i];
    const auto here = static_cast<int64_t>(end - i);
    const int64_t count = multiple * here;
    std::string name = std::string(indent, ' ') + (here > 1 ? range_name(block, blocks[end - 1]) : block.name);
    std::string times = count > 1 ? fmt::format("x{}", count) : "";
    const bool has_flops = summary.height > 0;
    table.row({std::move(name), std::move(times), block.detail, with_commas(count * block.parameters),
               share(static_cast<double>(count * block.parameters), static_cast<double>(summary.parameters)),
               has_flops ? human_count(static_cast<double>(count) * block.flops) : "",
               has_flops ? share(static_cast<double>(count) * block.flops, summary.root.flops) : "",
               human_bytes(static_cast<uint64_t>(count) * block.weight_bytes)});
    if (options.expand || block.kind != "transformer_block") add_rows(block, summary, options, count, indent + 2, table);
    i = end;
  }
}

std::string blocks_text(const ModelSummary& summary) {
  const auto plural = [](int64_t n) { return n == 1 ? "" : "s"; };
  return fmt::format("{} resnet{}, {} transformer block{}", summary.resnets, plural(summary.resnets), summary.transformer_blocks,
                     plural(summary.transformer_blocks));
}

void add_json_blocks(const BlockSummary& parent, bool has_flops, nlohmann::ordered_json& list) {
  for (const BlockSummary& block : parent.children) {
    nlohmann::ordered_json entry;
    entry["path"] = block.path;
    entry["kind"] = block.kind;
    entry["parameters"] = block.parameters;
    entry["tensors"] = block.tensors;
    entry["bytes"] = block.weight_bytes;
    entry["flops"] = has_flops ? nlohmann::ordered_json(std::llround(block.flops)) : nlohmann::ordered_json(nullptr);
    list.push_back(std::move(entry));
    add_json_blocks(block, has_flops, list);
  }
}

}  // namespace

std::string to_text(const ModelSummary& summary, const std::string& title, const TreeOptions& options) {
  std::string text = terminal::styled(title, Style::kBold) + "\n\n";
  const std::string stored = summary.dtype.empty() ? "f16 (no weights here)" : summary.dtype;
  text += fmt::format("  parameters  {} in {} tensors, {} as {}\n", with_commas(summary.parameters), with_commas(summary.tensors),
                      human_bytes(summary.root.weight_bytes), stored);
  if (summary.height > 0)
    text += fmt::format("  flops       {} at batch 1, {}x{}, {} tokens (a multiply-add is 2)\n", human_count(summary.root.flops),
                        summary.height, summary.width, summary.tokens);
  else
    text += "  flops       unknown: the config has no sample_size; give --size H W\n";
  text += fmt::format("  blocks      {}\n", blocks_text(summary));
  text += fmt::format("  structure   {}\n\n", summary.structure_hash);

  constexpr auto kLeft = Table::Align::kLeft, kRight = Table::Align::kRight;
  Table table({kLeft, kLeft, kLeft, kRight, kRight, kRight, kRight, kRight});
  table.header({"block", "", "", "parameters", "", "flops", "", "weights"});
  add_rows(summary.root, summary, options, 1, 0, table);
  text += table.text() + "\nopens in\n";
  Table loaders({kLeft, kLeft, kLeft});
  for (const model::LoaderVerdict& verdict : summary.loaders)
    loaders.row({"  " + verdict.loader,
                 verdict.opens ? terminal::styled("yes", Style::kGreen) : terminal::styled("no", Style::kRed),
                 verdict.opens ? (verdict.as.empty() ? "" : "as " + verdict.as) : verdict.reason});
  return text + loaders.text();
}

std::string to_json(const ModelSummary& summary) {
  nlohmann::ordered_json json;
  const bool has_flops = summary.height > 0;
  json["parameters"] = summary.parameters;
  json["tensors"] = summary.tensors;
  json["resnets"] = summary.resnets;
  json["transformer_blocks"] = summary.transformer_blocks;
  json["flops"] = has_flops ? nlohmann::ordered_json(std::llround(summary.root.flops)) : nlohmann::ordered_json(nullptr);
  json["bytes"] = summary.root.weight_bytes;
  json["size"] = {summary.height, summary.width};
  json["structure"] = summary.structure_hash;
  json["blocks"] = nlohmann::ordered_json::array();
  add_json_blocks(summary.root, has_flops, json["blocks"]);
  for (const model::LoaderVerdict& verdict : summary.loaders) {
    nlohmann::ordered_json entry;
    entry["opens"] = verdict.opens;
    entry["as"] = verdict.as;
    entry["reason"] = verdict.reason;
    json["loaders"][verdict.loader] = std::move(entry);
  }
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace espalier::inspect
