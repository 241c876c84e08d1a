#pragma once
// The published structures as data. Paths and depths are those of the teachers' and students' UNet configs.

#include <array>

#include "strategies/prune/common/structure.h"

namespace strategies {

/// SDXL: three stages, attention of depth 2 and 10.
inline constexpr std::array kSdxl = {
    Module{"down_blocks.0.resnets.0", 0},     Module{"down_blocks.0.resnets.1", 0},     Module{"down_blocks.1.resnets.0", 0},
    Module{"down_blocks.1.attentions.0", 2},  Module{"down_blocks.1.resnets.1", 0},     Module{"down_blocks.1.attentions.1", 2},
    Module{"down_blocks.2.resnets.0", 0},     Module{"down_blocks.2.attentions.0", 10}, Module{"down_blocks.2.resnets.1", 0},
    Module{"down_blocks.2.attentions.1", 10}, Module{"mid_block.resnets.0", 0},         Module{"mid_block.attentions.0", 10},
    Module{"mid_block.resnets.1", 0},         Module{"up_blocks.0.resnets.0", 0},       Module{"up_blocks.0.attentions.0", 10},
    Module{"up_blocks.0.resnets.1", 0},       Module{"up_blocks.0.attentions.1", 10},   Module{"up_blocks.0.resnets.2", 0},
    Module{"up_blocks.0.attentions.2", 10},   Module{"up_blocks.1.resnets.0", 0},       Module{"up_blocks.1.attentions.0", 2},
    Module{"up_blocks.1.resnets.1", 0},       Module{"up_blocks.1.attentions.1", 2},    Module{"up_blocks.1.resnets.2", 0},
    Module{"up_blocks.1.attentions.2", 2},    Module{"up_blocks.2.resnets.0", 0},       Module{"up_blocks.2.resnets.1", 0},
    Module{"up_blocks.2.resnets.2", 0}};

/// SD 1.x and 2.x: four stages, attention of depth 1, none in the innermost stage.
inline constexpr std::array kSd = {
    Module{"down_blocks.0.resnets.0", 0},    Module{"down_blocks.0.attentions.0", 1}, Module{"down_blocks.0.resnets.1", 0},
    Module{"down_blocks.0.attentions.1", 1}, Module{"down_blocks.1.resnets.0", 0},    Module{"down_blocks.1.attentions.0", 1},
    Module{"down_blocks.1.resnets.1", 0},    Module{"down_blocks.1.attentions.1", 1}, Module{"down_blocks.2.resnets.0", 0},
    Module{"down_blocks.2.attentions.0", 1}, Module{"down_blocks.2.resnets.1", 0},    Module{"down_blocks.2.attentions.1", 1},
    Module{"down_blocks.3.resnets.0", 0},    Module{"down_blocks.3.resnets.1", 0},    Module{"mid_block.resnets.0", 0},
    Module{"mid_block.attentions.0", 1},     Module{"mid_block.resnets.1", 0},        Module{"up_blocks.0.resnets.0", 0},
    Module{"up_blocks.0.resnets.1", 0},      Module{"up_blocks.0.resnets.2", 0},      Module{"up_blocks.1.resnets.0", 0},
    Module{"up_blocks.1.attentions.0", 1},   Module{"up_blocks.1.resnets.1", 0},      Module{"up_blocks.1.attentions.1", 1},
    Module{"up_blocks.1.resnets.2", 0},      Module{"up_blocks.1.attentions.2", 1},   Module{"up_blocks.2.resnets.0", 0},
    Module{"up_blocks.2.attentions.0", 1},   Module{"up_blocks.2.resnets.1", 0},      Module{"up_blocks.2.attentions.1", 1},
    Module{"up_blocks.2.resnets.2", 0},      Module{"up_blocks.2.attentions.2", 1},   Module{"up_blocks.3.resnets.0", 0},
    Module{"up_blocks.3.attentions.0", 1},   Module{"up_blocks.3.resnets.1", 0},      Module{"up_blocks.3.attentions.1", 1},
    Module{"up_blocks.3.resnets.2", 0},      Module{"up_blocks.3.attentions.2", 1}};

// Gupta et al. 2024, arXiv:2401.02677.
inline constexpr std::array kSsd1bKeeps = {Module{"down_blocks.2.attentions.0", 4}, Module{"down_blocks.2.attentions.1", 4},
                                           Module{"mid_block", kTailGone},          Module{"up_blocks.0.attentions.0", 4},
                                           Module{"up_blocks.0.attentions.1", 4},   Module{"up_blocks.1.attentions.1", 1},
                                           Module{"up_blocks.1.attentions.2", 1}};
inline constexpr std::array kVegaKeeps = {
    Module{"down_blocks.1.attentions.0", 1}, Module{"down_blocks.1.attentions.1", 1}, Module{"down_blocks.2.attentions.0", 2},
    Module{"down_blocks.2.attentions.1", 2}, Module{"mid_block", kTailGone},          Module{"up_blocks.0.attentions.0", 2},
    Module{"up_blocks.0.attentions.1", 2},   Module{"up_blocks.0.attentions.2", 2},   Module{"up_blocks.1.attentions.0", 1},
    Module{"up_blocks.1.attentions.1", 1},   Module{"up_blocks.1.attentions.2", 1}};

// KOALA, etri-vilab: one layer per down stage, two per up stage (the middle one goes).
inline constexpr std::array kKoala700mKeeps = {Module{"down_blocks.0.resnets.1", kPairGone},
                                               Module{"down_blocks.1.resnets.1", kPairGone},
                                               Module{"down_blocks.2.attentions.0", 5},
                                               Module{"down_blocks.2.resnets.1", kPairGone},
                                               Module{"mid_block", kBlockGone},
                                               Module{"up_blocks.0.attentions.0", 5},
                                               Module{"up_blocks.0.resnets.1", kPairGone},
                                               Module{"up_blocks.0.attentions.2", 5},
                                               Module{"up_blocks.1.resnets.1", kPairGone},
                                               Module{"up_blocks.2.resnets.1", kPairGone}};
inline constexpr std::array kKoala1bKeeps = {
    Module{"down_blocks.0.resnets.1", kPairGone}, Module{"down_blocks.1.resnets.1", kPairGone},
    Module{"down_blocks.2.attentions.0", 6},      Module{"down_blocks.2.resnets.1", kPairGone},
    Module{"mid_block.attentions.0", 6},          Module{"up_blocks.0.attentions.0", 6},
    Module{"up_blocks.0.resnets.1", kPairGone},   Module{"up_blocks.0.attentions.2", 6},
    Module{"up_blocks.1.resnets.1", kPairGone},   Module{"up_blocks.2.resnets.1", kPairGone}};

// BK-SDM, Nota-NetsPresso/BK-SDM: the second layer of each down stage and the middle one of each up stage go.
inline constexpr std::array kBkSdmBaseKeeps = {
    Module{"down_blocks.0.resnets.1", kPairGone}, Module{"down_blocks.1.resnets.1", kPairGone},
    Module{"down_blocks.2.resnets.1", kPairGone}, Module{"down_blocks.3.resnets.1", kPairGone},
    Module{"up_blocks.0.resnets.1", kPairGone},   Module{"up_blocks.1.resnets.1", kPairGone},
    Module{"up_blocks.2.resnets.1", kPairGone},   Module{"up_blocks.3.resnets.1", kPairGone}};
inline constexpr std::array kBkSdmSmallKeeps = {Module{"down_blocks.0.resnets.1", kPairGone},
                                                Module{"down_blocks.1.resnets.1", kPairGone},
                                                Module{"down_blocks.2.resnets.1", kPairGone},
                                                Module{"down_blocks.3.resnets.1", kPairGone},
                                                Module{"mid_block", kBlockGone},
                                                Module{"up_blocks.0.resnets.1", kPairGone},
                                                Module{"up_blocks.1.resnets.1", kPairGone},
                                                Module{"up_blocks.2.resnets.1", kPairGone},
                                                Module{"up_blocks.3.resnets.1", kPairGone}};
inline constexpr std::array kBkSdmTinyKeeps = {
    Module{"down_blocks.0.resnets.1", kPairGone}, Module{"down_blocks.1.resnets.1", kPairGone},
    Module{"down_blocks.2.resnets.1", kPairGone}, Module{"up_blocks.1.resnets.1", kPairGone},
    Module{"up_blocks.2.resnets.1", kPairGone},   Module{"up_blocks.3.resnets.1", kPairGone}};

inline constexpr Pattern kSsd1b{"espalier.prune.ssd-1b", "SDXL", kSdxl, kSsd1bKeeps};
inline constexpr Pattern kVega{"espalier.prune.vega", "SDXL", kSdxl, kVegaKeeps};
inline constexpr Pattern kKoala700m{"espalier.prune.koala-700m", "SDXL", kSdxl, kKoala700mKeeps};
inline constexpr Pattern kKoala1b{"espalier.prune.koala-1b", "SDXL", kSdxl, kKoala1bKeeps};
inline constexpr Pattern kBkSdmBase{"espalier.prune.bk-sdm-base", "SD 1.x and 2.x", kSd, kBkSdmBaseKeeps};
inline constexpr Pattern kBkSdmSmall{"espalier.prune.bk-sdm-small", "SD 1.x and 2.x", kSd, kBkSdmSmallKeeps};
inline constexpr Pattern kBkSdmTiny{"espalier.prune.bk-sdm-tiny", "SD 1.x and 2.x", kSd, kBkSdmTinyKeeps, true};

/// Those that `like = ID` may name: the ones that differ from their teacher in depth.
inline constexpr std::array kDepthPatterns = {&kSsd1b, &kVega, &kKoala700m, &kKoala1b};

}  // namespace strategies
