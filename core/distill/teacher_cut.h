#pragma once
// A joint graph in two: the teacher's forward pass, and the student's step, which reads what the teacher made.

#include <string>
#include <vector>

#include "core/distill/joint_graph.h"

namespace espalier::distill {

/// Something that the teacher makes and the student's side reads.
struct TeacherValue {
  // Block path of the node that makes it, "teacher.down_blocks.0.resnets.1"; ".2", … behind it where one block makes more. Its
  // output, which is of no block, is "teacher".
  std::string name;
  TensorType type;
};

struct TeacherCut {
  Graph teacher;                     // inputs: those of the batch that it reads; outputs: the values, by name
  JointGraph student;                // everything else, with the values as inputs, by name; nothing of the teacher is left
  std::vector<TeacherValue> values;  // in the order in which the teacher makes them
};

/// Cuts `joint` where values of frozen nodes are read by others. Both parts together compute what it computes: the nodes are the
/// same ones in the same order. Without a teacher, or where no loss reads it, there are no values and the teacher's graph is
/// empty.
TeacherCut cut_teacher(const JointGraph& joint);

}  // namespace espalier::distill
