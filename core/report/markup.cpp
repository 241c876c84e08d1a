#include "core/report/markup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/text.h"

namespace espalier::report {

std::string escaped(std::string_view text) {
  std::string out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    for (const char c : printable(line, 4 * line.size() + 16)) switch (c) {
        case '&':
          out += "&amp;";
          break;
        case '<':
          out += "&lt;";
          break;
        case '>':
          out += "&gt;";
          break;
        case '"':
          out += "&quot;";
          break;
        case '\'':
          out += "&#39;";
          break;
        default:
          out += c;
      }
    if (end == text.size()) break;
    out += '\n';
    begin = end + 1;
  }
  return out;
}

std::string exact(float value) { return fmt::format("{}", value); }
std::string rounded(double value) { return fmt::format("{:.4g}", value); }

std::string with_spread(double mean, double deviation) {
  if (!(deviation > 0)) return rounded(mean);
  const int decimals = 1 - static_cast<int>(std::floor(std::log10(deviation)));
  if (decimals > 7 || std::abs(mean) >= 1e7) return fmt::format("{:.4g} ± {:.2g}", mean, deviation);
  return fmt::format("{:.{}f} ± {:.{}f}", mean, std::max(decimals, 0), deviation, std::max(decimals, 0));
}

std::string json_text(const std::string& text) {
  std::string quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (size_t at = quoted.find('<'); at != std::string::npos; at = quoted.find('<', at)) quoted.replace(at, 1, "\\u003c");
  return quoted;
}

std::string plural(int64_t count, const std::string& thing) { return with_commas(count) + " " + thing + (count == 1 ? "" : "s"); }

std::string counted(double value) { return human_count(value); }

std::string percent(double part, double whole) { return whole > 0 ? fmt::format("{:.1f}%", 100 * part / whole) : "–"; }

std::string duration(double ms) {
  if (ms >= 1000) return fmt::format("{:.3g} s", ms / 1000);
  return fmt::format("{:.3g} ms", ms);
}

std::string data_uri(std::string_view mime, std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "data:" + std::string(mime) + ";base64,";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(bytes.size() - i, 3);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= have ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace espalier::report
