// The two UNets are built as graphs of their own and appended: what a graph of one of them is, the joint graph holds
// unchanged, so that the teacher here is the teacher that `run` computes.

#include "core/distill/joint_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/ir/append.h"
#include "core/ir/verify.h"
#include "core/model/unet_graph.h"
#include "core/ops/cast.h"
#include "core/ops/elementwise_binary.h"
#include "core/ops/elementwise_unary.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/stop_gradient.h"

namespace espalier::distill {
namespace {

/// A UNet in the joint graph: its prediction and the features that were asked for.
struct Appended {
  Value output;
  std::map<std::string, Value> features;
};

class JointBuilder {
 public:
  JointBuilder(const JointOptions& options, JointGraph& made) : options_(options), made_(made), b_(made.graph) {
    made.graph.name = "joint";
  }

  void run(const model::BlockTree* teacher, const model::BlockTree& student, const std::vector<LossUse>& losses) {
    const Graph of_student = graph_of(student, losses, &FeaturePair::student);
    std::optional<Graph> of_teacher;
    if (teacher != nullptr) of_teacher = graph_of(*teacher, losses, &FeaturePair::teacher);
    if (of_teacher) need_equal_inputs(*of_teacher, of_student);
    mix(of_student.type(of_student.find_input("sample")));
    std::optional<Appended> teacher_side;
    if (of_teacher) teacher_side = append(*of_teacher, kTeacherPrefix, true);
    const Appended student_side = append(of_student, "", false);
    need_equal_outputs(teacher_side ? &*teacher_side : nullptr, student_side);
    emit(losses, student_side, teacher_side ? &*teacher_side : nullptr);
  }

 private:
  Graph graph_of(const model::BlockTree& tree, const std::vector<LossUse>& losses, std::string FeaturePair::*side) const {
    model::GraphOptions options{.batch = options_.batch, .height = options_.height, .width = options_.width};
    options.tokens = options_.tokens;
    for (const LossUse& use : losses)
      for (const FeaturePair& pair : use.pairs) options.taps.push_back(pair.*side);
    Graph graph = model::build_graph(tree, options);
    return options_.unet ? options_.unet(graph) : graph;
  }

  static void need_equal_inputs(const Graph& teacher, const Graph& student) {
    ErrorList errors;
    for (Value v : teacher.inputs()) {
      const std::string& name = teacher.def(v).label;
      const Value other = student.find_input(name);
      if (!other.present())
        errors.add("[distill] the teacher reads " + name + ", the student does not");
      else if (!(student.type(other) == teacher.type(v)))
        errors.add("[distill] the teacher reads " + name + " " + to_string(teacher.type(v).shape) + ", the student " +
                   to_string(student.type(other).shape));
    }
    errors.throw_if_any();
  }

  void need_equal_outputs(const Appended* teacher, const Appended& student) const {
    ErrorList errors;
    const Shape &made = b_.shape(student.output), &wanted = b_.shape(target_);
    if (!(made == wanted))
      errors.add("[distill] the student predicts " + to_string(made) + ", the target is " + to_string(wanted) +
                 "; a model with other input than output channels is not trained here");
    if (teacher != nullptr && !(b_.shape(teacher->output) == made))
      errors.add("[distill] the teacher predicts " + to_string(b_.shape(teacher->output)) + ", the student " + to_string(made));
    errors.throw_if_any();
  }

  /// The noisy batch and what is to be predicted.
  void mix(const TensorType& sample) {
    const Value latents = b_.input("latents", sample), noise = b_.input("noise", sample);
    timestep_ = b_.input("timestep", f32({options_.batch}));
    alpha_bar_ = b_.input("alpha_bar", f32({options_.batch}));
    const Value share = ops::reshape(b_, alpha_bar_, {options_.batch, 1, 1, 1});
    const Value signal = ops::sqrt(b_, share);
    const Value level = ops::sqrt(b_, ops::sub(b_, b_.scalar(1), share));
    const Value kept = ops::mul(b_, signal, latents);
    noisy_ = ops::add(b_, kept, ops::mul(b_, level, noise));
    target_ = noise;
    if (!options_.predicts_v) return;
    const Value forward = ops::mul(b_, signal, noise);
    target_ = ops::sub(b_, forward, ops::mul(b_, level, latents));
  }

  Value leaf(const Node& node, const TensorType& type, const std::string& prefix, bool frozen) {
    if (node.kind == NodeKind::kInput) {
      if (node.label == "sample") return noisy_;
      const Value known = made_.graph.find_input(node.label);
      return known.present() ? known : b_.input(node.label, type);
    }
    b_.set_path(prefix + node.path);
    b_.frozen = frozen;
    Value param;
    if (frozen) {
      param = b_.param(prefix + node.label, type);
    } else {
      const TensorType master = f32(type.shape);
      const Value trained = options_.weights_are_inputs ? b_.input(node.label, master) : b_.param(prefix + node.label, master);
      made_.trained.push_back(trained);
      param = type == master ? trained : ops::cast(b_, trained, type.dtype);
    }
    b_.frozen = false;
    b_.set_path("");
    return param;
  }

  Appended append(const Graph& unet, const std::string& prefix, bool frozen) {
    const auto leaf_value = [&](const Node& node, const TensorType& type) { return leaf(node, type, prefix, frozen); };
    const std::vector<Value> outputs = append_graph(made_.graph, unet, leaf_value, [&](Node& node) {
      node.path = node.path.empty() && !prefix.empty() ? prefix.substr(0, prefix.size() - 1) : prefix + node.path;
      node.frozen = frozen;
    });
    Appended side;
    for (size_t i = 0; i < outputs.size(); ++i) {
      Value v = outputs[i];
      if (frozen) v = ops::stop_gradient(b_, v);
      if (unet.outputs()[i].name == "sample")
        side.output = v;
      else
        side.features[unet.outputs()[i].name] = v;
    }
    return side;
  }

  void emit(const std::vector<LossUse>& losses, const Appended& student, const Appended* teacher) {
    std::vector<Value> scalars, logged;
    for (size_t use = 0; use < losses.size(); ++use) {
      const LossUse& loss = losses[use];
      LossView view{.predicts_v = options_.predicts_v, .output = student.output, .target = target_, .timestep = timestep_};
      view.alpha_bar = alpha_bar_;
      if (teacher != nullptr) view.teacher_output = teacher->output;
      view.pairs = values_of(loss, student, teacher);
      const std::string name = loss.name.empty() ? loss.loss->default_name() : loss.name;
      view.param = [&](const std::string& param, const TensorType& type, const ParamInit& init) {
        return param_of(name, param, type, init);
      };
      const Scope scope(b_, kLossPrefix + name);
      const size_t params = first_param_ = made_.params.size(), terms = scalars.size();
      add_terms(name, use, loss.loss->emit(b_, view), scalars, logged);
      require_read(name, params, {scalars.begin() + static_cast<std::ptrdiff_t>(terms), scalars.end()});
    }
    if (scalars.empty()) throw UserError("[distill] no loss: add a [[loss]] to the recipe");
    const auto count = static_cast<int64_t>(scalars.size());
    const Value terms = joined(scalars);
    made_.total = ops::reduce_sum(b_, ops::mul(b_, terms, b_.input("loss_weights", f32({count}))), {});
    b_.output("total", made_.total);
    b_.output("terms", terms);
    if (!logged.empty()) b_.output("logged", joined(logged));
    if (!options_.outputs) return;
    b_.output("output", student.output);
    b_.output("target", target_);
    if (teacher != nullptr) b_.output("teacher_output", teacher->output);
  }

  /// Scalars as one vector.
  Value joined(std::vector<Value> scalars) {
    for (Value& scalar : scalars) scalar = ops::reshape(b_, scalar, {1});
    return ops::concat(b_, std::move(scalars), 0);
  }

  Value param_of(const std::string& loss, const std::string& param, const TensorType& type, const ParamInit& init) {
    const std::string name = kLossPrefix + loss + "." + param;
    for (size_t i = 0; i < made_.params.size(); ++i) {
      const LossParam& known = made_.params[i];
      if (known.name != name) continue;
      if (i < first_param_)
        throw UserError(
            fmt::format("[loss {}] its parameter '{}' is another loss's already: give one of them another name", loss, name));
      if (!(known.type == type))
        throw UserError(fmt::format("[loss {}] parameter '{}' is {} and {}; it has one type", loss, printable(param),
                                    to_string(known.type), to_string(type)));
      return options_.weights_are_inputs ? made_.graph.find_input(name) : made_.graph.find_param(name);
    }
    const Value v = options_.weights_are_inputs ? b_.input(name, type) : b_.param(name, type);
    made_.params.push_back({name, type, init});
    made_.trained.push_back(v);
    return v;
  }

  /// Parameters of one loss, from index `first` on, each need a term that depends on it.
  void require_read(const std::string& loss, size_t first, const std::vector<Value>& terms) const {
    if (first == made_.params.size()) return;
    const Graph& graph = made_.graph;
    std::vector<bool> needed(graph.nodes().size(), false);
    for (const Value term : terms) needed[graph.info(term).node] = true;
    for (size_t i = needed.size(); i-- > 0;)
      if (needed[i])
        for (const Value v : graph.node(i).inputs)
          if (v.present()) needed[graph.info(v).node] = true;
    ErrorList errors;
    for (size_t i = first; i < made_.params.size(); ++i) {
      const Value v = made_.trained[made_.trained.size() - (made_.params.size() - i)];
      if (!needed[graph.info(v).node])
        errors.add(fmt::format("[loss {}] no term reads the parameter '{}': nothing would train it", loss, made_.params[i].name));
    }
    errors.throw_if_any();
  }

  std::vector<PairValues> values_of(const LossUse& loss, const Appended& student, const Appended* teacher) const {
    std::vector<PairValues> pairs;
    ErrorList errors;
    if (teacher == nullptr && (loss.loss->pairs().wanted || !loss.pairs.empty()))
      throw UserError("[" + loss.loss->id() + "] compares features with a teacher's, and there is none");
    for (const FeaturePair& pair : loss.pairs) {
      const PairValues values{pair, teacher->features.at(pair.teacher), student.features.at(pair.student)};
      const Shape &from = b_.shape(values.teacher), &to = b_.shape(values.student);
      if (!(from == to) && !(loss.loss->any_width() && equal_but_last(from, to)))
        errors.add(fmt::format("[{}] {} of the teacher is {}, {} of the student {}; a pair has one shape", loss.loss->id(),
                               pair.teacher, to_string(from), pair.student, to_string(to)));
      pairs.push_back(values);
    }
    errors.throw_if_any();
    return pairs;
  }

  static bool equal_but_last(const Shape& a, const Shape& b) {
    if (a.rank() != b.rank() || a.rank() == 0) return false;
    for (int i = 0; i + 1 < a.rank(); ++i)
      if (a[i] != b[i]) return false;
    return true;
  }

  void add_terms(const std::string& name, size_t use, const std::vector<LossTerm>& terms, std::vector<Value>& scalars,
                 std::vector<Value>& logged) {
    ErrorList errors;
    const auto place = [&](const LossTerm& term) { return "[loss " + name + "] term '" + printable(term.label) + "' "; };
    if (std::all_of(terms.begin(), terms.end(), [](const LossTerm& term) { return term.logged; }))
      errors.add("[loss " + name + "] it emits no term");
    if (name == "step" || name == "total" || name == "grad_norm" || name.starts_with("val/"))
      errors.add("[loss " + name + "] this key of the metrics belongs to the trainer: give the loss another name");
    for (const LossTerm& term : terms) {
      const TensorType& type = b_.type(term.value);
      if (!(type == f32({}))) errors.add(place(term) + "is " + to_string(type) + ", needs to be an f32 scalar");
      const std::string key = term.label.empty() ? name : name + "/" + printable(term.label, 400);
      std::vector<JointTerm> before = made_.terms;
      before.insert(before.end(), made_.logged.begin(), made_.logged.end());
      for (const JointTerm& other : before)
        if (other.key == key)
          errors.add("[loss " + name + "] '" + key + "' is already a term" +
                     (other.use == use ? " of this loss: each needs its own label" : ": give one of the losses another name"));
      (term.logged ? made_.logged : made_.terms).push_back({key, use});
      (term.logged ? logged : scalars).push_back(term.value);
    }
    errors.throw_if_any();
  }

  const JointOptions& options_;
  JointGraph& made_;
  Builder b_;
  Value timestep_, alpha_bar_, noisy_, target_;
  size_t first_param_ = 0;  // of the loss that is being emitted
};

}  // namespace

JointGraph build_joint_graph(const model::BlockTree* teacher, const model::BlockTree& student, const std::vector<LossUse>& losses,
                             const JointOptions& options) {
  JointGraph made;
  JointBuilder(options, made).run(teacher, student, losses);
  verify(made.graph);  // plugins wrote part of it
  return made;
}

}  // namespace espalier::distill
