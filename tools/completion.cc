// kappa completion bash|zsh|fish: a script that completes commands and flags, made from the command
// line itself, so that it never lags behind it.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>

#include "tools/command.h"

namespace kappa::tools {
namespace {

std::string flags_of(const CLI::App& command) {
  std::string words;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words += " --" + name;
  }
  return words;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string first_line(const CLI::App& command) {
  // Descriptions lead with examples; what the command does stands in the last paragraph.
  const std::string text = command.get_description();
  const std::size_t paragraph = text.rfind("\n\n");
  std::string line = paragraph == std::string::npos ? text : text.substr(paragraph + 2);
  line = line.substr(0, line.find_first_of(".;:\n"));
  std::erase(line, '\'');
  return line;
}

void print_bash(const CLI::App& app, bool zsh) {
  std::string names;
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    names += " " + command->get_name();
    std::string words = flags_of(*command);
    std::string nested;
    for (const CLI::App* one : commands_of(*command)) {
      words += " " + one->get_name();
      nested += "        " + one->get_name() + ") words='" + flags_of(*one) + "' ;;\n";
    }
    cases += "    " + command->get_name() + ") words='" + words + "'";
    // The second word chooses among the commands of a command, and their flags follow it.
    if (!nested.empty()) cases += "\n      [ \"$COMP_CWORD\" -gt 2 ] && case ${COMP_WORDS[2]} in\n" + nested + "      esac\n     ";
    cases += " ;;\n";
  }
  if (zsh) std::puts("autoload -U +X bashcompinit && bashcompinit");
  std::printf(
      "_kappa() {\n  local word=${COMP_WORDS[COMP_CWORD]} words\n  case ${COMP_WORDS[1]} in\n%s"
      "    *) words='%s --help --version' ;;\n  esac\n"
      "  [ \"$COMP_CWORD\" -eq 1 ] && words='%s --help --version'\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o default -F _kappa kappa\n",
      cases.c_str(), names.c_str(), names.c_str());
}

void print_fish(const CLI::App& app) {
  for (const CLI::App* command : commands_of(app)) {
    std::printf("complete -c kappa -n __fish_use_subcommand -f -a %s -d '%s'\n", command->get_name().c_str(),
                first_line(*command).c_str());
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        std::printf("complete -c kappa -n '__fish_seen_subcommand_from %s' -l %s\n", command->get_name().c_str(),
                    name.c_str());
      }
    }
    std::string nested;
    for (const CLI::App* one : commands_of(*command)) nested += " " + one->get_name();
    for (const CLI::App* one : commands_of(*command)) {
      std::printf("complete -c kappa -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from%s' -f -a %s -d '%s'\n",
                  command->get_name().c_str(), nested.c_str(), one->get_name().c_str(), first_line(*one).c_str());
      for (const CLI::Option* option : one->get_options()) {
        for (const std::string& name : option->get_lnames()) {
          std::printf("complete -c kappa -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s' -l %s\n",
                      command->get_name().c_str(), one->get_name().c_str(), name.c_str());
        }
      }
    }
  }
}

}  // namespace

void add_completion(CLI::App& app, int& status) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a completion script");
  command->description(R"(Examples:
  source <(kappa completion bash)
  kappa completion fish > ~/.config/fish/completions/kappa.fish

Prints a completion script.)");
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &status] {
    if (*shell == "fish") {
      print_fish(app);
    } else {
      print_bash(app, *shell == "zsh");
    }
    status = kExitOk;
  });
}

}  // namespace kappa::tools
