" The plugin in a real editor on a real terminal, against the real `cloister lsp` and a model. An outer Vim drives the inner
" one through a terminal window and reads its screen, so that the ghost text itself is seen:
"
"   CLOISTER_TEST_EDITOR='vim' vim --not-a-term -N -u NONE -S test/run.vim
"
" CLOISTER_TEST_EDITOR: `vim` or `nvim`, or their paths; CLOISTER_TEST_SERVED: the folder in which serve.sh serves;
" CLOISTER_TEST_PROGRAMS: the folder of `cloister`. What happened goes to CLOISTER_TEST_LOG; ends with 1 where something failed.

set nocompatible hidden noswapfile
let s:root = expand('<sfile>:p:h:h')
let s:editor = empty($CLOISTER_TEST_EDITOR) ? 'vim' : $CLOISTER_TEST_EDITOR
let s:log = empty($CLOISTER_TEST_LOG) ? '/dev/stdout' : $CLOISTER_TEST_LOG
let s:folder = tempname()
let s:start = reltime()
let s:buffer = 0

function! s:Say(words) abort
  call writefile([printf('%6.1f s  %s', reltimefloat(reltime(s:start)), a:words)], s:log, 'a')
endfunction

function! s:Screen() abort
  return map(range(1, 30), {_, row -> term_getline(s:buffer, row)})
endfunction

function! s:Until(what, Holds, seconds) abort
  let l:left = a:seconds * 20
  while !a:Holds()
    if l:left == 0
      call s:Say('FAILED: ' .. a:what)
      call writefile(s:Screen(), s:log, 'a')
      call s:End(1)
    endif
    let l:left -= 1
    call term_wait(s:buffer, 50)
    sleep 50m
  endwhile
  call s:Say(a:what)
endfunction

function! s:End(code) abort
  if s:buffer
    call job_stop(term_getjob(s:buffer), 'kill')
  endif
  call delete(s:folder, 'rf')
  execute 'cquit' a:code
endfunction

function! s:Type(keys) abort
  call term_sendkeys(s:buffer, a:keys)
endfunction

function! s:IsOn(pattern) abort
  return match(s:Screen(), a:pattern) >= 0
endfunction

function! s:Saved() abort
  call s:Type("\<Esc>:silent! write\<CR>")
  call term_wait(s:buffer, 200)
  return readfile(s:folder .. '/stacks.adb')
endfunction

" The newest decisions: a part, then the whole, by this editor. The rows name the editor in no field: the leaves do.
function! s:Decided() abort
  let l:command = [$CLOISTER_TEST_PROGRAMS .. '/cloisterd', '--data', $CLOISTER_TEST_SERVED .. '/data', 'ledger', 'export', '--format', 'jsonl', '--kind', 'decision']
  let l:lines = systemlist(join(map(l:command, {_, word -> shellescape(word)})))
  let l:accepted = filter(l:lines, {_, line -> line =~# '"accepted"' && line =~# (s:is_neovim ? 'Neovim' : 'Vim 9')})
  return len(l:accepted) > 0 && l:accepted[-1] =~# 'stacks.adb'
endfunction

call mkdir(s:folder, 'p')
for s:name in ['stacks.ads', 'stacks.adb']
  call writefile(readfile($CLOISTER_TEST_SERVED .. '/source/' .. s:name), s:folder .. '/' .. s:name)
endfor
call writefile([
      \ 'set nocompatible noswapfile nomore shortmess+=I laststatus=0 expandtab shiftwidth=3 autoindent',
      \ 'set runtimepath^=' .. s:root,
      \ 'filetype plugin on',
      \ "let g:cloister_path = '" .. $CLOISTER_TEST_PROGRAMS .. "/cloister'",
      \ "let g:cloister_server = 'unix:" .. $CLOISTER_TEST_SERVED .. "/data/run/cloister.sock'",
      \ ], s:folder .. '/vimrc')
execute 'cd' s:folder
" The outer one's run-time is not the inner one's.
unlet! $VIMRUNTIME $VIM $MYVIMRC
let s:is_neovim = s:editor =~# 'nvim$'
let s:arguments = s:is_neovim ? ['-n', '-u', 'vimrc', '--cmd', 'set notermguicolors', 'stacks.adb'] : ['-N', '-n', '-u', 'vimrc', 'stacks.adb']
let s:buffer = term_start([s:editor] + s:arguments, {'term_rows': 30, 'term_cols': 100, 'env': {'TERM': 'xterm-256color', 'XDG_STATE_HOME': s:folder}})
call s:Until('it is open', {-> s:IsOn('package body Stacks')}, 20)

call s:Type(":CloisterStatus\<CR>")
call s:Until('the status names the model', {-> s:IsOn('coder: ')}, 30)
call s:Type("\<CR>\<CR>\<Esc>")

" A suggestion, and a word of it, and the rest.
call s:Type("/procedure Pop\<CR>jo   if Is_Empty (S) then\<CR>   ")
call s:Until('a suggestion is on screen', {-> s:IsOn('raise Underflow')}, 90)
call writefile(s:Screen(), s:log, 'a')
if match(s:Saved(), 'raise Underflow') >= 0
  call s:Say('FAILED: the suggestion is in the file though nobody accepted it')
  call s:End(1)
endif
call s:Type('A ')
call s:Type("\<BS>")
call s:Until('it comes again', {-> s:IsOn('raise Underflow')}, 90)
call s:Type("\<Esc>[1;5C")
call s:Until('a word was taken over', {-> match(s:Saved(), '\<raise\>') >= 0 && match(s:Saved(), 'raise Underflow') < 0}, 10)
call s:Type('A')
call s:Until('the rest comes again', {-> s:IsOn('raise Underflow')}, 90)
call s:Type("\<Tab>")
call s:Until('the rest was taken over', {-> match(s:Saved(), 'raise Underflow;') >= 0}, 10)

" What is taken over is one step to undo, and nothing takes it back by itself.
call s:Type("\<Esc>u")
call s:Until('it is undone by one key', {-> match(s:Saved(), 'raise') >= 0 && match(s:Saved(), 'raise Underflow;') < 0}, 10)
call s:Type("\<C-R>")
call s:Until('it is there again', {-> match(s:Saved(), 'raise Underflow;') >= 0}, 10)

call s:Type(":CloisterChat Answer with one word: what is Ada?\<CR>")
call s:Until('the chat answers, with the record', {-> s:IsOn('> record \d\+')}, 240)
let s:record = matchstr(join(s:Screen(), "\n"), '> record \zs\d\+')
call writefile(s:Screen(), s:log, 'a')
call s:Type(":only\<CR>:CloisterExplain " .. s:record .. "\<CR>")
call s:Until('the record is shown', {-> s:IsOn('record ' .. s:record .. ': intent')}, 20)
call s:Until('the ledger has what was taken over, and where', {-> s:Decided()}, 20)
call s:Type(":qall!\<CR>")
call s:Until('it ends', {-> term_getstatus(s:buffer) =~# 'finished'}, 10)
call s:End(0)
