export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

// Each asks the command itself, with the words typed so far and the one under the cursor last: what it offers is always what this
// release can do. Where it offers nothing, the shell's own completion of files follows.
const BASH = `# pg-unwind completion for bash: source <(pg-unwind completion bash)
_pg_unwind() {
  local IFS=$'\\n'
  COMPREPLY=($("$1" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _pg_unwind pg-unwind
`;

const ZSH = `# pg-unwind completion for zsh: source <(pg-unwind completion zsh), after compinit
_pg_unwind() {
  local -a found
  found=("\${(@f)$(pg-unwind completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then
    compadd -a found
  else
    _files
  fi
}
compdef _pg_unwind pg-unwind
`;

const FISH = `# pg-unwind completion for fish: pg-unwind completion fish | source
function __pg_unwind_words
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    pg-unwind completion words -- $before[2..-1] "$current" 2>/dev/null
end
complete -c pg-unwind -f -a '(__pg_unwind_words)'
complete -c pg-unwind -l config -r -F
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
