#include "src/api/received.h"

#include <google/protobuf/descriptor.h>

#include <optional>
#include <string>

#include "raft/check.h"
#include "src/base/utf8.h"

namespace iris {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

std::optional<std::string> field_not_utf8(const google::protobuf::Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.type() != FieldDescriptor::TYPE_STRING || field.is_repeated()) continue;
    std::string scratch;
    const std::string& text =
        message.GetReflection()->GetStringReference(message, &field, &scratch);
    if (!client::is_utf8(text)) return field.name();
  }
  return std::nullopt;
}

}  // namespace

Error parse_error(const google::protobuf::Message& message) {
  if (const auto field = field_not_utf8(message)) {
    return {Errc::invalid_argument, *field + " is not UTF-8"};
  }
  return {Errc::invalid_argument,
          "the request is not a " + std::string(message.GetDescriptor()->name())};
}

int method_index(const Descriptor& request) {
  const google::protobuf::FileDescriptor& file = *request.file();
  for (int i = 0; i < file.service_count(); ++i) {
    for (int j = 0; j < file.service(i)->method_count(); ++j) {
      const google::protobuf::MethodDescriptor& method = *file.service(i)->method(j);
      if (method.input_type() == &request) return method.index();
    }
  }
  CHECK(false);
}

}  // namespace iris
