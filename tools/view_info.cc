// kappa view info: one name in full, each of its versions with what the status says of it and its text.
#include <simdjson.h>

#include <cstdio>

#include "tools/definitions.h"
#include "tools/output.h"
#include "tools/status_text.h"
#include "tools/view.h"
#include "tools/view_status.h"

namespace kappa::tools {
namespace {

// {"name":...,"version":...,...} of the status, with what the definition adds to it.
std::string version_json(const Definition& one, const ServerState& server) {
  std::string json;
  if (const ViewProgress* view = server.find(one.name, one.version); view != nullptr && view->json.ends_with('}')) {
    json = view->json.substr(0, view->json.size() - 1);
  } else {
    json = "{\"name\":";
    append_json_string(one.name, json);
    json += ",\"version\":" + std::to_string(one.version) + ",\"role\":\"" + one.role + "\"";
  }
  if (one.role == "next") json += std::string(",\"cutover\":\"") + (one.manual ? "manual" : "auto") + "\"";
  json += ",\"reads\":[";
  for (const std::string& name : one.reads) {
    if (json.back() != '[') json += ',';
    append_json_string(name, json);
  }
  json += "],\"sql\":";
  append_json_string(one.sql, json);
  return json + "}";
}

int print_text(const std::vector<const Definition*>& versions, const ServerState& server) {
  Output out;
  for (const Definition* one : versions) {
    const auto text = status_text(version_json(*one, server), printable(one->at()));
    if (!text) return fail_with(text.error());
    out.write(*text);
    if (const ViewProgress* view = server.find(one->name, one->version); view != nullptr && view->building())
      out.write("  " + progress_line(*view) + "\n");
  }
  return kExitOk;
}

}  // namespace

int run_view_info(const ViewInfoFlags& flags) {
  auto client = connect(flags.connection);
  if (!client) return fail_with(client.error());
  const auto definitions = fetch_definitions(**client, query_options(flags.connection, {}));
  if (!definitions) return fail_with(definitions.error());
  const auto named = resolve_version(*definitions, flags.name);
  if (!named) return fail_with(named.error());
  const auto json = (*client)->status();
  if (!json) return fail_with(json.error());
  const auto server = parse_server_state(*json);
  if (!server) return fail_with(server.error());

  // NAME@VERSION is that one; NAME all of them.
  const bool one_version = find_role(*definitions, flags.name, "serving") == nullptr && flags.name.find('@') != std::string::npos;
  std::vector<const Definition*> versions;
  for (const Definition& one : *definitions) {
    if (one.name == named->name && (!one_version || one.version == named->version)) versions.push_back(&one);
  }
  if (flags.output == "table" || (flags.output.empty() && is_terminal(1))) return print_text(versions, *server);
  std::string text = "{\"name\":";
  append_json_string(named->name, text);
  text += ",\"kind\":\"" + named->kind + "\",\"read_by\":[";
  for (const std::string& reader : readers_of(*definitions, named->name)) {
    if (text.back() != '[') text += ',';
    append_json_string(reader, text);
  }
  text += "],\"versions\":[";
  for (const Definition* one : versions) text += (one == versions.front() ? "" : ",") + version_json(*one, *server);
  Output out;
  out.write(text + "]}\n");
  return kExitOk;
}

}  // namespace kappa::tools
