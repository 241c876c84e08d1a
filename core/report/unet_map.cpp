// A cell says its colours as two classes, one for each view (a0…a8 the last loss on a log scale, r0…r8 last by first), so that
// the style sheet alone switches between them.

#include "core/report/unet_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/prune/block_address.h"
#include "core/report/markup.h"

namespace espalier::report {
namespace {

using prune::Side;

constexpr int kBins = 9;

/// log10 of the least and the greatest last loss.
struct LossRange {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  bool empty() const { return low > high; }
};

LossRange range_of(const std::map<std::string, BlockLoss>& losses) {
  LossRange range;
  for (const auto& [path, loss] : losses)
    if (loss.of.last > 0) {
      range.low = std::min(range.low, std::log10(loss.of.last));
      range.high = std::max(range.high, std::log10(loss.of.last));
    }
  return range;
}

int absolute_bin(const LossRange& range, double last) {
  if (!(last > 0)) return 0;
  if (range.high - range.low < 1e-9) return kBins / 2;
  return std::clamp(static_cast<int>(kBins * (std::log10(last) - range.low) / (range.high - range.low)), 0, kBins - 1);
}

/// A bin for each factor of two; the middle one is "within a factor of √2".
int relative_bin(const FirstLast& of) {
  if (of.first > 0 && of.last > 0)
    return std::clamp(static_cast<int>(std::lround(std::log2(of.last / of.first))) + kBins / 2, 0, kBins - 1);
  return of.last > 0 ? kBins - 1 : of.first > 0 ? 0 : kBins / 2;
}

class Drawing {
 public:
  Drawing(const Facts& facts, const std::map<std::string, BlockLoss>& losses)
      : facts_(facts), losses_(losses), range_(range_of(losses)) {}

  std::string html() const {
    const model::BlockTree& base = facts_.base;
    const size_t rows = std::max(base.down.size(), base.up.size());
    std::string text = "<div class=\"unet\">\n";
    for (size_t i = 0; i < base.down.size(); ++i) text += stage(Side::kDown, i, i + 1, i);
    if (base.mid) text += mid(rows + 1);
    for (size_t i = 0; i < base.up.size(); ++i) text += stage(Side::kUp, i, rows - i, rows - 1 - i);
    for (size_t i = 0; i < std::min(base.down.size(), base.up.size()); ++i)
      text += fmt::format("<div class=\"skip\" style=\"grid-area:{} / 2;--i:{}\"><span>skips</span></div>\n", i + 1, i);
    return text + "</div>\n" + legend();
  }

 private:
  /// The stage of the run that took `path`, or something around it.
  const int64_t* removed_at(const std::string& path) const {
    for (const auto& [removed, stage] : facts_.removed)
      if (prune::is_within(path, removed)) return &stage;
    return nullptr;
  }

  const BlockLoss* loss_of(const std::string& path) const {
    for (const std::string& key : {path, path + ".attn1"})
      if (const auto at = losses_.find(key); at != losses_.end()) return &at->second;
    return nullptr;
  }

  std::string cell(const std::string& path, const std::string& kind, const std::string& label) const {
    const int64_t* removed = removed_at(path);
    const BlockLoss* loss = removed == nullptr ? loss_of(path) : nullptr;
    std::string classes = "cell " + kind, tip = path, more;
    if (removed != nullptr) {
      classes += " ghost";
      tip += *removed < 0 ? "\nremoved before this run" : fmt::format("\nremoved in stage {}", *removed + 1);
    } else if (loss == nullptr) {
      classes += " plain";
      tip += "\nno term compares it";
    } else {
      classes += fmt::format(" heat a{} r{}", absolute_bin(range_, loss->of.last), relative_bin(loss->of));
      tip += fmt::format("\n{}\nfirst {}, last {}", loss->key, rounded(loss->of.first), rounded(loss->of.last));
      if (loss->of.first > 0) tip += fmt::format(": {:.3g} of it", loss->ratio());
      if (loss->of.rows > 1) tip += fmt::format("\nmeans of {} steps", loss->of.rows);
      more = fmt::format(" data-key=\"{}\"", escaped(loss->key));
    }
    return fmt::format("<span class=\"{}\" tabindex=\"0\" data-tip=\"{}\"{}>{}</span>", classes, escaped(tip), more, label);
  }

  std::string attention(const std::string& path, size_t index, const model::Attention& attention) const {
    std::string text = fmt::format("<span class=\"attn{}\">{}", removed_at(path) != nullptr ? " gone" : "",
                                   cell(path, "at", fmt::format("attn {}", index)));
    for (size_t block = 0; block < attention.blocks.size(); ++block)
      text += cell(fmt::format("{}.transformer_blocks.{}", path, block), "tb", std::to_string(block));
    return text + "</span>";
  }

  std::string head(const std::string& path, int64_t channels, size_t level) const {
    const int64_t scale = int64_t{1} << level;
    return fmt::format("<div class=\"head\">{}<span>{} channels, {}×{}</span></div>", cell(path, "st", path), channels,
                       (facts_.height + scale - 1) / scale, (facts_.width + scale - 1) / scale);
  }

  std::string stage(Side side, size_t index, size_t row, size_t level) const {
    const bool down = side == Side::kDown;
    const model::Stage& stage = (down ? facts_.base.down : facts_.base.up)[index];
    std::string text =
        fmt::format("<div class=\"stage {}\" style=\"grid-area:{} / {};--i:{}\">{}<div class=\"layers\">", down ? "down" : "up",
                    row, down ? 1 : 3, level, head(prune::stage_path(side, index), stage.channels, level));
    for (size_t layer = 0; layer < stage.layers.size(); ++layer) {
      text += "<div class=\"layer\">" + cell(prune::resnet_path(side, index, layer), "res", fmt::format("res {}", layer));
      if (const auto& has = stage.layers[layer].attention)
        text += attention(prune::attention_path(side, index, layer), layer, *has);
      text += "</div>";
    }
    if (stage.sampler)
      text += "<div class=\"layer\">" + cell(prune::sampler_path(side, index), "sa", down ? "↓ half" : "↑ double") + "</div>";
    return text + "</div></div>\n";
  }

  std::string mid(size_t row) const {
    const model::MidBlock& mid = *facts_.base.mid;
    const std::string path = prune::stage_path(Side::kMid, 0);
    const size_t level = facts_.base.down.empty() ? 0 : facts_.base.down.size() - 1;
    std::string text = fmt::format(
        "<div class=\"stage mid\" style=\"grid-area:{} / 1 / auto / 4\">{}<div class=\"layers\"><div class=\"layer\">", row,
        head(path, facts_.base.config.block_out_channels.back(), level));
    for (size_t i = 0; i < mid.resnets.size(); ++i) {
      text += cell(prune::resnet_path(Side::kMid, 0, i), "res", fmt::format("res {}", i));
      if (i == 0 && mid.attention) text += attention(prune::attention_path(Side::kMid, 0, 0), 0, *mid.attention);
    }
    return text + "</div></div></div>\n";
  }

  std::string legend() const {
    std::string text = "<div class=\"legend\">";
    const auto scale = [&](const char* view, char letter, const std::string& low, const std::string& high) {
      text += fmt::format("<span class=\"scale {}\"><span>{}</span>", view, low);
      for (int bin = 0; bin < kBins; ++bin) text += fmt::format("<i class=\"heat {}{}\"></i>", letter, bin);
      text += fmt::format("<span>{}</span></span>", high);
    };
    if (!range_.empty()) {
      scale("abs", 'a', rounded(std::pow(10, range_.low)), rounded(std::pow(10, range_.high)) + " (log scale)");
      scale("rel", 'r', "a sixteenth or less", "16 times or more");
    }
    text += "<span class=\"key\"><i class=\"cell plain\"></i> no term</span>";
    if (!facts_.removed.empty()) text += "<span class=\"key\"><i class=\"cell ghost\"></i> removed</span>";
    return text + "</div>\n";
  }

  const Facts& facts_;
  const std::map<std::string, BlockLoss>& losses_;
  LossRange range_;
};

/// Where the base has the block that a term of a stage compares: "" when the key names none.
std::string place_of(const std::string& key, const StageFacts& stage) {
  const size_t slash = key.find('/');
  if (slash == std::string::npos) return "";
  const auto at = stage.places.find(key.substr(slash + 1));
  return at == stage.places.end() ? "" : at->second;
}

}  // namespace

std::map<std::string, BlockLoss> block_losses(const Facts& facts) {
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, BlockLoss> losses;
  const Table& rows = facts.metrics.training;
  for (const StageFacts& stage : facts.stages) {
    if (!stage.kept) continue;
    for (size_t key = 0; key < rows.keys.size(); ++key) {
      const std::string place = place_of(rows.keys[key], stage);
      if (place.empty()) continue;
      for (size_t row = 0; row < rows.steps.size(); ++row) {
        const float value = rows.columns[key][row];
        if (rows.steps[row] < stage.first_step || rows.steps[row] >= stage.end_step || std::isnan(value)) continue;
        BlockLoss& loss = losses[place];
        if (!values[place].empty() && loss.key != rows.keys[key] &&
            loss.key.substr(0, loss.key.find('/')) != rows.keys[key].substr(0, rows.keys[key].find('/')))
          continue;  // of another loss that compares the same block: the first one colours it
        loss.key = rows.keys[key];
        values[place].push_back(value);
      }
    }
  }
  for (auto& [place, loss] : losses) loss.of = first_and_last(values[place]);
  return losses;
}

std::string draw_unet(const Facts& facts, const std::map<std::string, BlockLoss>& losses) {
  return Drawing(facts, losses).html();
}

}  // namespace espalier::report
