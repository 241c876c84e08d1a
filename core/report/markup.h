#pragma once
// Text and numbers as HTML.

#include <cstdint>
#include <string>
#include <string_view>

namespace espalier::report {

/// `text` for an element's content or a quoted attribute: no markup of its own gets through, control characters and invalid UTF-8
/// are made visible, line feeds stay.
std::string escaped(std::string_view text);

/// A number as metrics.jsonl has it: the shortest text that reads back as the same f32.
std::string exact(float value);
/// Four significant digits: "0.02134", "1.3e-06".
std::string rounded(double value);
/// "0.1234 ± 0.0056": as many digits as the deviation supports; four significant ones where there is none.
std::string with_spread(double mean, double deviation);
/// A string of JSON that may stand in a script element: no text ends it.
std::string json_text(const std::string& text);
/// "1 step", "2,000 steps".
std::string plural(int64_t count, const std::string& thing);
/// "10.54 M".
std::string counted(double value);
/// "51.2%" of a whole; "–" of nothing.
std::string percent(double part, double whole);
/// "12.4 ms", "1.83 s".
std::string duration(double ms);

/// `bytes` as the value of an href or src: "data:image/png;base64,…".
std::string data_uri(std::string_view mime, std::string_view bytes);

}  // namespace espalier::report
