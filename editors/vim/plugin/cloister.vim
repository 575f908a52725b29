" Cloister: completion and chat from a model inside your own network. Vim 9.0.0438 or newer, Neovim 0.7 or newer.
" It starts one program, `cloister lsp`, and talks to nothing else. :help cloister

if exists('g:loaded_cloister') || &compatible
  finish
endif
let g:loaded_cloister = 1

if has('nvim')
  if has('nvim-0.7')
    lua require('cloister').setup()
  endif
  finish
endif
if !has('vim9script') || !has('patch-9.0.0438') || !has('textprop') || !has('job')
  finish
endif

command! -range=0 -bang -nargs=* CloisterChat call cloister#Chat(<q-args>, <range> > 0 ? [<line1>, <line2>] : [], <bang>0)
command! -nargs=1 CloisterExplain call cloister#Explain(<q-args>)
command! CloisterStatus call cloister#Status()
command! -range CloisterAction call cloister#Action(<line1>, <line2>)
command! CloisterRestart call cloister#Restart()

" What is taken over is one step of its own to undo.
inoremap <silent> <Plug>(cloister-accept) <C-G>u<Cmd>call cloister#Accept('all')<CR>
inoremap <silent> <Plug>(cloister-accept-word) <C-G>u<Cmd>call cloister#Accept('word')<CR>
inoremap <silent> <Plug>(cloister-accept-line) <C-G>u<Cmd>call cloister#Accept('line')<CR>
inoremap <silent> <Plug>(cloister-dismiss) <Cmd>call cloister#Dismiss()<CR>
inoremap <silent> <Plug>(cloister-suggest) <Cmd>call cloister#Suggest()<CR>

" A key that has a meaning already keeps it: map the names above to keys of your own.
if get(g:, 'cloister_maps', 1)
  for [s:key, s:name, s:plain] in [
        \ ['<Tab>', 'accept', '\<Tab>'],
        \ ['<C-Right>', 'accept-word', '\<C-Right>'],
        \ ['<C-End>', 'accept-line', '\<C-End>'],
        \ ['<C-]>', 'dismiss', '\<C-]>'],
        \ ]
    if maparg(s:key, 'i') ==# ''
      execute printf('imap <expr> <silent> %s cloister#IsShown() ? "\<Plug>(cloister-%s)" : "%s"', s:key, s:name, s:plain)
    endif
  endfor
  if maparg('<M-Bslash>', 'i') ==# ''
    imap <M-Bslash> <Plug>(cloister-suggest)
  endif
endif

highlight default link CloisterGhost Comment

augroup cloister
  autocmd!
  autocmd FileType * call cloister#Attach(expand('<abuf>')->str2nr())
  autocmd BufDelete * call cloister#Detach(expand('<abuf>')->str2nr())
  autocmd BufWritePost * call cloister#Saved(expand('<abuf>')->str2nr())
  autocmd TextChangedI,CursorMovedI,InsertEnter * call cloister#Moved()
  autocmd InsertLeave,BufLeave * call cloister#Hide()
  autocmd VimLeavePre * call cloister#Stop()
augroup END
