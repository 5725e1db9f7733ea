# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Made by tests/make-completions from the tables of the program.

# The configuration: of -c if that was given, else the user's or the system's.
_cabfs_config() {
  local i file
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -c) file=${COMP_WORDS[i + 1]} ;;
    --config) [[ ${COMP_WORDS[i + 1]} == = ]] && file=${COMP_WORDS[i + 2]} || file=${COMP_WORDS[i + 1]} ;;
    esac
  done
  if [[ $file ]]; then
    printf '%s\n' "${file/#~\//$HOME/}"
    return
  fi
  for file in "${XDG_CONFIG_HOME:-$HOME/.config}/cabfs/cabfs.conf" /etc/cabfs/cabfs.conf; do
    [[ -r $file ]] && printf '%s\n' "$file" && return
  done
}

_cabfs_accounts() {
  local file
  file=$(_cabfs_config)
  [[ $file ]] && sed -n 's/^[[:blank:]]*\[\([^]]*\)\].*/\1/p' "$file" 2>/dev/null
}

# "key=value" of the last item of a list: candidates are whole items.
_cabfs_words() {
  case $1 in
  account-families=*) printf 'account-families=%s\n' ihvdriver hardware ;;
  discover=*) printf 'discover=%s\n' yes no ;;
  family=*) printf 'family=%s\n' driver desktop store ;;
  undownloadable=*) printf 'undownloadable=%s\n' show hide ;;
  members=*) printf 'members=%s\n' hidden visible off ;;
  sizes=*) printf 'sizes=%s\n' exact lazy ;;
  allow-http=*) printf 'allow-http=%s\n' yes no ;;
  log-level=*) printf 'log-level=%s\n' error warning info debug ;;
  *) printf '%s\n' tenant= client-id= client-secret-file= client-certificate-file= federated-token-file= managed-identity= token-command= token-file= desktop= driver= store= account-families= discover= family= days= start-date= end-date= listing-ttl= undownloadable= members= member-limit= sizes= deny= budget= cache-dir= cache-size= cache-free= keep= read-ahead= api-url= login-url= managed-identity-url= token-version= blob-hosts= allow-http= ca-file= proxy= connections= api-connections= size-connections= timeout= retries= log-level= allow_other allow_root auto_unmount noauto_unmount uid= gid= umask= fsname= subtype= debug default_permissions ;;
  esac
}

# How many arguments that are no options stand before the cursor.
_cabfs_position() {
  local i n=0
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -[co] | --config | --options)
      [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
      ((i++))
      while [[ ${COMP_WORDS[i + 1]} == = ]]; do ((i += 2)); done
      ;;
    -*) ;;
    *) ((n++)) ;;
    esac
  done
  printf '%s\n' "$n"
}

_cabfs() {
  local line=${COMP_LINE:0:COMP_POINT} cur before list item candidate
  cur=${line##*[[:blank:]]}
  before=${line%"$cur"}
  before=${before%"${before##*[![:blank:]]}"}
  before=${before##*[[:blank:]]}
  COMPREPLY=()
  case $cur in
  --options=*) before=-o cur=${cur#--options=} ;;
  --config=*) before=-c cur=${cur#--config=} ;;
  esac
  case $before in
  -o | --options)
    compopt -o nospace 2>/dev/null
    item=${cur##*,}
    list=${cur%"$item"}
    # bash takes what follows "=" for a word of its own.
    while IFS= read -r candidate; do
      candidate=$list$candidate
      COMPREPLY+=("${candidate#"${cur%"${cur##*=}"}"}")
    done < <(compgen -W "$(_cabfs_words "$item")" -- "$item")
    return
    ;;
  -c | --config)
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    return
    ;;
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '-c --config= -f --foreground -d --debug -o --options= -h --help -V --version' -- "$cur")
    return
  fi
  case $(_cabfs_position) in
  0) mapfile -t COMPREPLY < <(compgen -W "$(_cabfs_accounts)" -- "$cur") ;;
  1)
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  esac
}

complete -F _cabfs cabfs

# The command, which is the first word that is no option.
_cabfsctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} line=${COMP_LINE:0:COMP_POINT} before word
  word=${line##*[[:blank:]]}
  before=${line%"$word"}
  before=${before%"${before##*[![:blank:]]}"}
  before=${before##*[[:blank:]]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'check fetch purge refresh status -h --help -V --version' -- "$cur")
    return
  fi
  case $before in
  -c | --config | -o | --options)
    _cabfs
    return
    ;;
  esac
  case $word in
  --config=* | --options=*)
    _cabfs
    return
    ;;
  -*)
    case $command in
    check) mapfile -t COMPREPLY < <(compgen -W '-c --config= -o --options=' -- "$cur") ;;
    fetch) mapfile -t COMPREPLY < <(compgen -W '-j --jobs=' -- "$cur") ;;
    purge) mapfile -t COMPREPLY < <(compgen -W '-c --config= -o --options= -e --expired -a --all' -- "$cur") ;;
    status) mapfile -t COMPREPLY < <(compgen -W '-w --watch -J --json' -- "$cur") ;;
    esac
    return
    ;;
  esac
  case $command in
  check | purge) mapfile -t COMPREPLY < <(compgen -W "$(_cabfs_accounts)" -- "$cur") ;;
  status)
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    ;;
  fetch | refresh)
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  esac
}

complete -F _cabfsctl cabfsctl
