# SPDX-License-Identifier: MIT
# Made by tests/make-completions from the tables of the program.

function __cabfs_accounts
    set -l tokens (commandline -opc)
    set -l file
    for i in (seq (count $tokens))
        switch $tokens[$i]
            case -c --config
                set file $tokens[(math $i + 1)]
            case '--config=*'
                set file (string replace -- --config= '' $tokens[$i])
        end
    end
    if test -z "$file"
        set -l config $XDG_CONFIG_HOME
        test -n "$config"; or set config ~/.config
        set file $config/cabfs/cabfs.conf
        test -r $file; or set file /etc/cabfs/cabfs.conf
    end
    test -r "$file"; and string replace -rf '^\s*\[([^]]*)\].*' '$1' <$file
end

# How many arguments that are no options stand before the cursor.
function __cabfs_position
    set -l n 0
    set -l skip 0
    for token in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $token
            case -c --config -o --options
                set skip 1
            case '-*'
            case '*'
                set n (math $n + 1)
        end
    end
    echo $n
end

function __cabfs_words
    printf '%s\n' \
        tenant= \
        client-id= \
        client-secret-file= \
        client-certificate-file= \
        federated-token-file= \
        managed-identity= \
        token-command= \
        token-file= \
        desktop= \
        driver= \
        store= \
        days= \
        start-date= \
        end-date= \
        listing-ttl= \
        member-limit= \
        deny= \
        budget= \
        cache-dir= \
        cache-size= \
        cache-free= \
        keep= \
        read-ahead= \
        api-url= \
        login-url= \
        managed-identity-url= \
        token-version= \
        blob-hosts= \
        ca-file= \
        proxy= \
        connections= \
        api-connections= \
        size-connections= \
        timeout= \
        retries= \
        allow_other \
        allow_root \
        auto_unmount \
        noauto_unmount \
        uid= \
        gid= \
        umask= \
        fsname= \
        subtype= \
        debug \
        default_permissions \
        account-families=ihvdriver \
        account-families=hardware \
        discover=yes \
        discover=no \
        family=driver \
        family=desktop \
        family=store \
        undownloadable=show \
        undownloadable=hide \
        members=hidden \
        members=visible \
        members=off \
        sizes=exact \
        sizes=lazy \
        allow-http=yes \
        allow-http=no \
        log-level=error \
        log-level=warning \
        log-level=info \
        log-level=debug
end

complete -c cabfs -f
complete -c cabfs -s c -l config -r -F -d 'configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf'
complete -c cabfs -s f -l foreground -d 'stay in the foreground, log to stderr'
complete -c cabfs -s d -l debug -d 'the same with debug messages'
complete -c cabfs -s o -l options -x -a '(__fish_complete_list , __cabfs_words)' -d 'keys of cabfs.conf(5) and mount options'
complete -c cabfs -s h -l help -d 'print this text'
complete -c cabfs -s V -l version -d 'print the version'
complete -c cabfs -n 'test (__cabfs_position) = 0' -a '(__cabfs_accounts)' -d Account
complete -c cabfs -n 'test (__cabfs_position) = 1' -a '(__fish_complete_directories)'

complete -c cabfsctl -f
complete -c cabfsctl -n __fish_use_subcommand -a check -d 'say whether CABs of an account can be read, and if not, why'
complete -c cabfsctl -n '__fish_seen_subcommand_from check' -a '(__cabfs_accounts)' -d Account
complete -c cabfsctl -n '__fish_seen_subcommand_from check' -s c -l config -r -F -d 'configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf'
complete -c cabfsctl -n '__fish_seen_subcommand_from check' -s o -l options -x -a '(__fish_complete_list , __cabfs_words)' -d 'keys of cabfs.conf(5) and mount options, as the mount has them'
complete -c cabfsctl -n __fish_use_subcommand -a fetch -d 'bring files or directories of a mount into the cache'
complete -c cabfsctl -n '__fish_seen_subcommand_from fetch' -F
complete -c cabfsctl -n '__fish_seen_subcommand_from fetch' -s j -l jobs -x -d 'files at a time: 4'
complete -c cabfsctl -n __fish_use_subcommand -a purge -d 'remove cached CABs of an account'
complete -c cabfsctl -n '__fish_seen_subcommand_from purge' -a '(__cabfs_accounts)' -d Account
complete -c cabfsctl -n '__fish_seen_subcommand_from purge' -s c -l config -r -F -d 'configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf'
complete -c cabfsctl -n '__fish_seen_subcommand_from purge' -s o -l options -x -a '(__fish_complete_list , __cabfs_words)' -d 'keys of cabfs.conf(5) and mount options, as the mount has them'
complete -c cabfsctl -n '__fish_seen_subcommand_from purge' -s e -l expired -d 'what has expired or was kept long enough (the default)'
complete -c cabfsctl -n '__fish_seen_subcommand_from purge' -s a -l all -d 'all CABs, and the lists'
complete -c cabfsctl -n __fish_use_subcommand -a refresh -d 'have lists of a mount asked for anew'
complete -c cabfsctl -n '__fish_seen_subcommand_from refresh' -F
complete -c cabfsctl -n __fish_use_subcommand -a status -d 'show what a mount is doing'
complete -c cabfsctl -n '__fish_seen_subcommand_from status' -a '(__fish_complete_directories)'
complete -c cabfsctl -n '__fish_seen_subcommand_from status' -s w -l watch -d 'again and again, until Ctrl-C'
complete -c cabfsctl -n '__fish_seen_subcommand_from status' -s J -l json -d 'status.json as it is'
complete -c cabfsctl -s h -l help -d 'print this text'
complete -c cabfsctl -s V -l version -d 'print the version'
