#pragma once
// The fixed parts of the page.

#include <string_view>

namespace espalier::report {

extern const std::string_view kStyle;        // of the <style> element
extern const std::string_view kScriptTools;  // what the scripts of both pages stand on; reads the JSON of #data
extern const std::string_view kScript;       // of a run's page

extern const std::string_view kSweepStyle;           // of a sweep's page, after kStyle
extern const std::string_view kSweepTableScript;     // after kScriptTools
extern const std::string_view kSweepParallelScript;  // likewise
extern const std::string_view kSweepCurvesScript;    // likewise

}  // namespace espalier::report
