" Says in files what a person would see: when a suggestion is shown, and what it is. Keys are typed by somebody else.
set nocompatible shortmess+=I noswapfile
let g:llama_config = {
    \ 'endpoint_fim': $CLOISTER_URL . '/infill', 'endpoint_inst': $CLOISTER_URL . '/v1/chat/completions',
    \ 'api_key': $CLOISTER_TOKEN, 'show_info': 0,
    \ }
exe 'set runtimepath+=' . $LLAMA_VIM
runtime plugin/llama.vim

function! Shown() abort
    let shown = filter(prop_list(line('.')), {_, prop -> prop.type ==# 'llama_hl_fim_hint'})
    return empty(shown) ? '' : get(shown[0], 'text', '(Vim 9.0 does not tell what it shows)')
endfunction

function! Look(timer) abort
    let shown = mode() ==# 'i' ? Shown() : ''
    if shown !=# '' && !filereadable($SHOWN)
        call writefile([shown], $SHOWN . '.part')
        call rename($SHOWN . '.part', $SHOWN)
    endif
endfunction
call timer_start(50, 'Look', {'repeat': -1})
call writefile([], $STARTED)
