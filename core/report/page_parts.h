#pragma once
// The fixed parts of the page.

#include <string_view>

namespace espalier::report {

extern const std::string_view kStyle;   // of the <style> element
extern const std::string_view kScript;  // of the <script> element; reads the JSON of #data

}  // namespace espalier::report
