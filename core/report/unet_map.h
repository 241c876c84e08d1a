#pragma once
// The UNet as a drawing: the U of stages, every resnet, attention module and transformer block a cell.

#include <map>
#include <string>

#include "core/report/facts.h"

namespace espalier::report {

/// The loss of one block over the run, from the terms that compare it.
struct BlockLoss {
  std::string key;  // of the term in the last stage that has it
  FirstLast of;
  double ratio() const { return of.first > 0 ? of.last / of.first : 0; }
};

/// Block path of the base → its loss. Terms of attempts that were rolled back do not count. The mid block's one term, which
/// compares the teacher's whole mid output, is at "mid_block".
std::map<std::string, BlockLoss> block_losses(const Facts& facts);

/// HTML of the drawing with its legend. Removed blocks are ghosts with the number of their stage.
std::string draw_unet(const Facts& facts, const std::map<std::string, BlockLoss>& losses);

}  // namespace espalier::report
